"""The contract of reading: a reader receives the packets of one stream and hands them to a sink. It never retries."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from streamwatch.domain.media import CodecConfig, MediaInfo, MediaTime, Packet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Appetite(NamedTuple):
    """What a sink wants next, so that a reader neither copies, wakes nor fetches for nothing. Times: monotonic seconds.

    Key packets are always taken: their arrivals tell how the stream is built.
    """

    everything: bool
    """Payload between keys is wanted too: contiguous decoding runs, or the look-back keeps it."""
    key_at: float
    """From then on the next key will be looked at; until then bytes may wait in the kernel, for a while."""
    look_at: float
    """By then a picture should have come to keep the gap: a reader that fetches on demand begins a little earlier."""
    lookback_only: bool = False
    """`everything` is for the look-back alone: a reader that fetches on demand does without, and fetches what lies
    around a suspicious picture when it is asked for everything in earnest."""
    urgent: bool = False
    """The next picture decides whether something is an alarm: bytes should not wait."""
    any_at: float = float("inf")
    """From then on any picture will be looked at, be it a key or not."""


EVERYTHING = Appetite(everything=True, key_at=float("-inf"), look_at=float("-inf"))
"""For sinks that measure or collect."""


class PacketSink(Protocol):
    """Where packets go. Called from the reader's own thread or from the event loop; never raises, never waits long.

    For files read fast (`StreamSpec.fast`) `put` may wait until the look in progress is done: nothing is live there.
    """

    def opened(self, info: MediaInfo) -> None:
        """The stream answered and its format is known; called again when the format changes."""
        ...

    def appetite(self) -> Appetite:
        """What is wanted now. Asked once for each batch of bytes or each fetch, not for each packet."""
        ...

    def put(self, packet: Packet) -> None:
        """Take one packet, in decoding order.

        A reader that skipped a packet of the track puts no more than keys until the next key: what follows a hole
        cannot be decoded.
        """
        ...

    def skipped(self, size: int) -> None:
        """So many bytes of media passed by unread: the stream is alive. Once for each batch."""
        ...


class Reader(Protocol):
    """Receives one stream, once."""

    async def run(self, sink: PacketSink) -> None:
        """Read until the server says that the stream ended, then return.

        Runs on the event loop; may use a thread of its own. Cancelling ends the connection, within the read time-out.

        Raises:
            StreamError: the subclass says why nothing more comes; `retryable` whether trying again makes sense.

        """
        ...


class Picture(Protocol):
    """A decoded frame inside a watcher. The only value that leads to pixels; it never leaves its decode worker."""

    @property
    def pts(self) -> MediaTime | None:
        """Presentation time of the frame."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as decoded."""
        ...

    @property
    def corrupt(self) -> bool:
        """The decoder says that the picture is damaged: it never opens an alert."""
        ...

    def rgb(self, width: int, height: int) -> NDArray[np.uint8]:
        """The picture squashed to `height x width x 3` uint8 RGB by area averaging; aspect ratio is not kept."""
        ...

    def forget(self) -> None:
        """The look is done: overwrite the pixels, unless pictures still to come are built on them."""
        ...


class Decoder(Protocol):
    """Turns packets into pictures. One thread at a time."""

    def key(self, packet: Packet) -> Picture | None:
        """Decode one key packet alone and exactly (packet, drain, flush). None: no picture came out.

        Raises:
            DecodeFailed: the bytes are no picture.
            CodecUnsupported: no decoder for this codec.

        """
        ...

    def feed(self, packets: Sequence[Packet]) -> Picture | None:
        """Decode contiguously and return the newest picture of these packets, if any came out.

        Pictures that no other one depends on may be passed over. The first packet ever fed, and the first after
        `reset`, must be a key packet. Raises as `key`.
        """
        ...

    def pictures(self, packets: Sequence[Packet], wanted: Collection[MediaTime]) -> Iterator[Picture]:
        """Decode a run that begins at a key packet and give the pictures with these presentation times, exactly.

        From a state of its own: neither `key` nor `feed` notice. What comes after the last wanted one is not decoded.
        Raises as `key`, while iterating.
        """
        ...

    def reset(self) -> None:
        """Forget the contiguous state: the next `feed` begins at a key."""
        ...


class PacketBuffer(Protocol):
    """The newest key packet and what follows it, compressed. Guards itself: any thread may call."""

    @property
    def limit(self) -> int:
        """Packets it holds at most."""
        ...

    @property
    def dropped(self) -> int:
        """Packets dropped because a group of pictures outgrew the bound; only grows."""
        ...

    def put(self, packet: Packet) -> None:
        """Keep a packet; a key begins anew, a group of pictures that outgrows the bound is dropped whole."""
        ...

    def tail(self) -> tuple[Packet, ...]:
        """From the newest key picture to the newest packet; empty while there is no complete beginning."""
        ...

    def held(self) -> tuple[Packet, ...]:
        """Everything that is held, beginning at a key picture."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...


class DecoderFactory(Protocol):
    """Makes decoders; the runtime knows no other way to one."""

    def __call__(self, config: CodecConfig) -> Decoder:
        """Return a decoder for `config`. Raises CodecUnsupported."""
        ...
