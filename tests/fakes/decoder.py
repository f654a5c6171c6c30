"""A decoder whose pictures are told by the packets: `shade:N` is a picture of grey N, `scene:N` one with something
in it and another for every N, `none` no picture, `bad` no bytes of any picture, `torn:N` a damaged one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from streamwatch.domain.errors import CodecUnsupported, DecodeFailed
from streamwatch.domain.media import CodecConfig, MediaTime, Packet


class FakePicture:
    def __init__(
        self, shade: int, pts: MediaTime | None, *, corrupt: bool, size: tuple[int, int], scene: bool = False
    ) -> None:
        self._shade = shade
        self._scene = scene
        self.pts = pts
        self.corrupt = corrupt
        self.size = size

    def rgb(self, width: int, height: int) -> NDArray[np.uint8]:
        if self._scene:
            return np.random.default_rng(self._shade).integers(0, 256, (height, width, 3), np.uint8)
        return np.full((height, width, 3), self._shade, np.uint8)

    def forget(self) -> None:
        self.forgotten = True


class FakeDecoder:
    """Remembers what it was given."""

    def __init__(self, config: CodecConfig, log: list[tuple[str, int]] | None = None) -> None:
        if config.codec == "unknown":
            raise CodecUnsupported("no decoder for unknown")
        self._config = config
        self.log = log if log is not None else []

    def key(self, packet: Packet) -> FakePicture | None:
        self.log.append(("key", 1))
        return self._picture(packet)

    def feed(self, packets: Sequence[Packet]) -> FakePicture | None:
        self.log.append(("feed", len(packets)))
        return self._picture(packets[-1])

    def pictures(self, packets: Sequence[Packet], wanted: Collection[MediaTime]) -> Iterator[FakePicture]:
        self.log.append(("pictures", len(packets)))
        for packet in packets:
            if packet.pts in wanted and (picture := self._picture(packet)) is not None:
                yield picture

    def reset(self) -> None:
        self.log.append(("reset", 0))

    def _picture(self, packet: Packet) -> FakePicture | None:
        word, _, shade = packet.data.decode().partition(":")
        if word == "none":
            return None
        if word == "bad":
            raise DecodeFailed("no picture in these bytes")
        size = (self._config.width, self._config.height)
        return FakePicture(int(shade), packet.pts, corrupt=word == "torn", size=size, scene=word == "scene")
