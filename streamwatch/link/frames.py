"""Frames on the link: four bytes of length, big-endian, then so many bytes of JSON. Pure."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from streamwatch.domain.errors import LinkViolation
from streamwatch.domain.urls import printable
from streamwatch.link.messages import RuleLevel, Sampled, ScoreLine

HEADER = 4

M = TypeVar("M")


class FrameParser:
    """Cuts a byte stream into frames. A length over `limit` is refused before a byte of the body is kept."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of an unfinished frame: at most its header, `limit` and what arrived with them."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the bodies that `data` completed, in order. Raises LinkViolation, after which the stream is lost."""
        buffer = self._buffer
        buffer += data
        bodies: list[bytes] = []
        start = 0
        while len(buffer) - start >= HEADER:
            size = int.from_bytes(buffer[start : start + HEADER], "big")
            if not 0 < size <= self.limit:
                raise LinkViolation(f"a frame of {size} bytes; at most {self.limit} are allowed")
            end = start + HEADER + size
            if len(buffer) < end:
                break
            bodies.append(bytes(buffer[start + HEADER : end]))
            start = end
        if start:
            del buffer[:start]
        return bodies


def encode(message: BaseModel, limit: int) -> bytes:
    """The frame of `message`, made to fit `limit` by what is least missed where it is too large.

    Raises:
        LinkViolation: it does not fit; the sender made a mistake, and the other end would refuse it.

    """
    body = message.__pydantic_serializer__.to_json(message)
    if len(body) > limit:
        body = _trimmed(message, limit)
    return len(body).to_bytes(HEADER, "big") + body


def decode(adapter: TypeAdapter[M], body: bytes) -> M:
    """The message in a frame. Raises LinkViolation; its text names places and kinds of errors, never what was sent."""
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = printable(".".join(map(str, first["loc"])), 80)
        raise LinkViolation(
            f"not a message: {error.error_count()} errors, first {first['type']} at {where!r}"
        ) from None


def _trimmed(message: BaseModel, limit: int) -> bytes:
    """A sample keeps its highest scores, a rule's level its newest hits; halved until they fit."""
    small = _halved(message)
    while small is not None:
        body: bytes = small.__pydantic_serializer__.to_json(small)
        if len(body) <= limit:
            return body
        small = _halved(small)
    raise LinkViolation(f"a {type(message).__name__} that does not fit into {limit} bytes")


def _halved(message: BaseModel) -> BaseModel | None:
    match message:
        case Sampled() if any(line.values for line in message.scores):
            return message.model_copy(update={"scores": tuple(map(_fewer_values, message.scores))})
        case Sampled() if message.scores:  # dozens of detectors whose very names do not fit
            return message.model_copy(update={"scores": message.scores[: len(message.scores) // 2]})
        case RuleLevel() if message.hits:
            return message.model_copy(update={"hits": message.hits[(len(message.hits) + 1) // 2 :]})
        case _:
            return None


def _fewer_values(line: ScoreLine) -> ScoreLine:
    highest = sorted(line.values, key=lambda value: -value[1])
    return line.model_copy(update={"values": tuple(highest[: len(highest) // 2])})
