"""What a media playlist lists: segments, parts of them, how they are encrypted. Tags are read when asked for."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urljoin

from streamwatch.sources.hls.tags import Span, attributes, initial_vector, span


class Protected(ValueError):
    """Encrypted in a way for which nobody will give us a key."""


class Cipher(NamedTuple):
    """How a segment is encrypted: AES-128, CBC, padded."""

    url: str
    """Where its key is."""
    iv: bytes


class Segment(NamedTuple):
    """One media segment, as listed: what its tags say is read when it is about to be fetched.

    A named tuple because it is made by the thousand, under the interpreter's lock.
    """

    number: int
    seconds: float
    discontinuity: bool
    uri: str
    """As written, to be followed from `base`; empty where there is nothing to fetch."""
    base: str
    span: Span | None = None
    """Offset and length inside the file, where it is only a part of one."""
    head: str = ""
    """The attributes of the EXT-X-MAP in force: equal ones name the same initialisation part."""
    key: str = ""
    """The attributes of the EXT-X-KEY in force."""

    @property
    def url(self) -> str:
        """The whole address, empty where there is none. Raises ValueError where it cannot be read."""
        return urljoin(self.base, self.uri) if self.uri else ""

    @property
    def map_url(self) -> str:
        """The whole address of the initialisation part, empty where there is none. Raises as `url`."""
        uri = attributes(self.head).get("URI", "")
        return urljoin(self.base, uri) if uri else ""

    @property
    def map_span(self) -> Span | None:
        """Offset and length of the initialisation part, where it is only a part of a file. Raises ValueError."""
        where = attributes(self.head).get("BYTERANGE")
        return None if where is None else span(where, 0)

    @property
    def encrypted(self) -> bool:
        """Its bytes need a key."""
        return bool(self.key) and attributes(self.key).get("METHOD", "NONE") != "NONE"

    @property
    def cipher(self) -> Cipher | None:
        """How to decrypt it, None where it is in the clear.

        Raises Protected where only a rights manager could, ValueError where the tag cannot be read.
        """
        if not self.encrypted:
            return None
        tag = attributes(self.key)
        if tag["METHOD"] != "AES-128" or tag.get("KEYFORMAT", "identity") != "identity":
            raise Protected("the segments are encrypted for a rights manager")
        if not tag.get("URI"):
            raise ValueError("a key without an address")
        return Cipher(urljoin(self.base, tag["URI"]), initial_vector(tag.get("IV"), self.number))


class Part(NamedTuple):
    """A part of a segment, listed before the segment itself is whole."""

    segment: Segment
    """The part as something to fetch; its number is that of the segment it belongs to."""
    place: int
    """In its segment, from 0."""
