"""The forms in which a watcher, or a mistake, would have the marker; of each many short pieces to search for.

Pieces are taken from the random frame of the picture only: the card in the middle is public, and others may have
drawn it. Of pictures that are encoded (JPEG, PNG) it is what tells of its upper part; of the compressed stream any
piece will do, since each bit of it depends on all before.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, cast

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from streamwatch.sources.decoder import PyavPicture
from tests.proof.finder import various
from tests.proof.marker import NOISY, Marker, Rgb

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

SIZES: Final = ((64, 64), (112, 112), (128, 128), (160, 90), (224, 224), (256, 256), (320, 180), (480, 270))
"""Widths and heights: what the shipped model takes, what most others take, and common previews."""
_PIECE = 24
_HEAD = 700
"""Bytes of a JPEG that are the same in every JPEG: tables."""
_JPEG = (75, 85, 90, 95)
_MEAN, _DEVIATION = (np.array(v, np.float32) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

Forms = Mapping[str, list[bytes]]


def of(marker: Marker) -> Forms:
    """Pieces by name of form."""
    raw: dict[str, list[bytes]] = {"bitstream": _sprinkled(b"".join(marker.slices), 64)}
    for number, frame in enumerate(marker.frames):
        key = number == 0
        which = "key picture" if key else "picture between keys"
        for name, pieces in _of_frame(frame, dense=key):
            raw.setdefault(f"{which}, {name}", []).extend(pieces)
    made = {name: pieces for name, pieces in raw.items() if pieces}
    for name in tuple(made):
        made[f"{name}, base64"] = [text for piece in made[name][::2] for text in _base64(piece)]
        made[f"{name}, hex"] = [form for piece in made[name][::4] for form in (_hex(piece), _hex(piece).upper())]
    return {name: [piece for piece in pieces if various(piece)] for name, pieces in made.items()}


def _of_frame(frame: VideoFrame, *, dense: bool) -> Iterator[tuple[str, Iterable[bytes]]]:
    for name, plane in zip("YUV", _planes(frame), strict=True):
        yield f"plane {name}", _pieces(plane[:, :, None], 4 if dense else 16)
    picture = PyavPicture(frame, None, VideoReformatter())
    whole = picture.rgb(frame.width, frame.height)
    yield from _of_pixels(whole, "decoded size", step=4 if dense else 16)
    yield "one value a pixel", _pieces(np.asarray(cv2.cvtColor(whole, cv2.COLOR_RGB2GRAY))[:, :, None], 8)
    for width, height in SIZES if dense else SIZES[:1]:
        ways = {
            "": picture.rgb(width, height),
            " by cv2 area": _resized(whole, width, height, cv2.INTER_AREA),
            " by cv2 linear": _resized(whole, width, height, cv2.INTER_LINEAR),
            " by swscale bilinear": frame.reformat(width, height, "rgb24", interpolation="BILINEAR").to_ndarray(),
        }
        for way, pixels in ways.items():
            yield from _of_pixels(np.ascontiguousarray(pixels, np.uint8), f"{width}x{height}{way}", step=2)
    if dense:
        yield from _encoded({"decoded size": whole, "64x64": picture.rgb(64, 64), "224x224": picture.rgb(224, 224)})


def _of_pixels(pixels: Rgb, name: str, *, step: int) -> Iterator[tuple[str, list[bytes]]]:
    bgr = np.ascontiguousarray(pixels[:, :, ::-1])
    yield f"RGB {name}", _pieces(pixels, step)
    yield f"BGR {name}", _pieces(bgr, step)
    channels = (pixels[:, :, i : i + 1] for i in range(3))
    yield f"planar {name}", [piece for channel in channels for piece in _pieces(channel, step * 2)]
    if pixels.shape[0] > 256:
        return
    shares = pixels.astype(np.float32) / 255
    for kind, values in (
        ("0 to 255", pixels.astype(np.float32)),
        ("0 to 1", shares),
        ("normalised", (shares - _MEAN) / _DEVIATION),
    ):
        yield f"float32 {kind} {name}", _pieces(values, step * 4)
        planar = (np.ascontiguousarray(values[:, :, i : i + 1]) for i in range(3))
        yield f"planar float32 {kind} {name}", [piece for channel in planar for piece in _pieces(channel, step * 8)]
    yield f"float16 {name}", _pieces(shares.astype(np.float16), step * 4)
    for separator in (", ", ","):
        yield f"numbers as text {name}", [separator.join(map(str, p))[:60].encode() for p in _pieces(pixels, step * 8)]


def _pieces(values: NDArray[np.generic], step: int) -> list[bytes]:
    """Pieces of `height x width x channels` in C order, from its random frame, of every `step`th row.

    Above and below, several a row; in the middle one at each end, where the random part is wide enough for it.
    """
    height, width, channels = values.shape
    pixel = channels * values.itemsize
    pixels = -(-_PIECE // pixel)
    edge_y, edge_x = int(height * NOISY), int(width * NOISY)
    rows = np.ascontiguousarray(values)
    found: list[bytes] = []
    for y in range(height):
        outer = y < edge_y or y >= height - edge_y
        if not outer and y % step:
            continue
        row = rows[y].tobytes()
        places = range(0, width - pixels, max(pixels, width // 8)) if outer else ()
        if not outer and edge_x >= pixels:
            places = (edge_x - pixels, width - pixels)
        found += [row[x * pixel : (x + pixels) * pixel] for x in places]
    return [piece for piece in found if various(piece)]


def _planes(frame: VideoFrame) -> Iterator[NDArray[np.uint8]]:
    for plane in cast("Iterable[av.video.plane.VideoPlane]", frame.planes):
        rows = np.frombuffer(cast("memoryview", plane), np.uint8).reshape(plane.height, plane.line_size)
        yield rows[:, : plane.width]


def _resized(pixels: Rgb, width: int, height: int, how: int) -> Rgb:
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)


def _encoded(pictures: Mapping[str, Rgb]) -> Iterator[tuple[str, list[bytes]]]:
    for name, pixels in pictures.items():
        for way, ordered in (("", pixels[:, :, ::-1]), (" with red and blue swapped", pixels)):
            whole = np.ascontiguousarray(ordered)
            for quality in _JPEG:
                data = cv2.imencode(".jpg", whole, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
                yield f"JPEG {quality} {name}{way}", _sprinkled(_above(data[_HEAD:]), 32)
            for suffix in (".png", ".webp"):
                data = cv2.imencode(suffix, whole)[1].tobytes()
                yield f"{suffix[1:].upper()} {name}{way}", _sprinkled(_above(data[64:]), 48)


def _above(encoded: bytes) -> bytes:
    """What tells of the random frame above the card, which takes more bytes than its share of the picture."""
    return encoded[: int(len(encoded) * NOISY)]


def _sprinkled(data: bytes, every: int) -> list[bytes]:
    windows = (data[at : at + _PIECE] for at in range(16, len(data) - _PIECE, every))
    return [window for window in windows if various(window, 14)]


def _base64(piece: bytes) -> Iterator[bytes]:
    """As it would stand in a longer text: by where its first byte falls among three."""
    for shift in range(3):
        whole = (min(len(piece), 48) - shift) // 3 * 3
        text = base64.b64encode(piece[shift : shift + whole])
        yield text
        if b"+" in text or b"/" in text:
            yield text.translate(bytes.maketrans(b"+/", b"-_"))


def _hex(piece: bytes) -> bytes:
    return piece[:_PIECE].hex().encode()
