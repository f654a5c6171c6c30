"""What every decoder must do; run over each implementation."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from streamwatch.domain.errors import CodecUnsupported, DecodeFailed
from streamwatch.domain.media import CodecConfig, Packet
from streamwatch.sources.base import DecoderFactory
from streamwatch.sources.decoder import make_decoder
from tests.fakes.decoder import FakeDecoder
from tests.sources import media


class Case:
    """A factory with packets that it can decode: keys at 0 and 25."""

    def __init__(self, factory: DecoderFactory, packets: list[Packet], rubbish: bytes) -> None:
        self.factory = factory
        self.packets = packets
        self.rubbish = rubbish


def _real() -> Case:
    packets = media.packets(media.encode("flv"))
    return Case(partial(make_decoder, max_pixels=1 << 20), packets, b"\x00\x00\x00\x08" + b"\xa5" * 40)


def _fake() -> Case:
    config = CodecConfig("fake", width=160, height=120)
    packets = [
        Packet(config, f"shade:{index}".encode(), None, None, key=index % 25 == 0, arrival=index / 25)
        for index in range(50)
    ]
    return Case(FakeDecoder, packets, b"bad")


@pytest.fixture(params=[_real, _fake], ids=["pyav", "fake"])
def case(request: pytest.FixtureRequest) -> Case:
    return request.param()


def test_a_lone_key_packet_gives_its_picture(case: Case) -> None:
    decoder = case.factory(case.packets[0].config)
    for key in (case.packets[0], case.packets[25], case.packets[0]):
        picture = decoder.key(key)
        assert picture is not None
        assert picture.size == (160, 120)
        assert not picture.corrupt
        assert picture.pts == key.pts


def test_pictures_come_out_as_rgb_of_the_size_asked_for(case: Case) -> None:
    picture = case.factory(case.packets[0].config).key(case.packets[0])
    assert picture is not None
    pixels = picture.rgb(224, 100)
    assert pixels.shape == (100, 224, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous


def test_contiguous_decoding_returns_the_newest_picture(case: Case) -> None:
    decoder = case.factory(case.packets[0].config)
    first = decoder.feed(case.packets[:10])
    second = decoder.feed(case.packets[10:20])
    assert first is not None
    assert second is not None
    if first.pts is not None and second.pts is not None:
        assert second.pts > first.pts


def test_after_a_reset_decoding_begins_at_a_key(case: Case) -> None:
    decoder = case.factory(case.packets[0].config)
    decoder.feed(case.packets[:10])
    decoder.reset()
    assert decoder.feed(case.packets[25:35]) is not None


def test_rubbish_is_decode_failed(case: Case) -> None:
    decoder = case.factory(case.packets[0].config)
    rubbish = Packet(case.packets[0].config, case.rubbish, None, None, key=True, arrival=0)
    with pytest.raises(DecodeFailed):
        decoder.key(rubbish)
    assert decoder.key(case.packets[0]) is not None  # and the next stream is none the worse for it


def test_an_unknown_codec_is_unsupported(case: Case) -> None:
    with pytest.raises(CodecUnsupported):
        case.factory(CodecConfig("unknown"))
