import asyncio
import shutil
from contextlib import aclosing
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import pytest

from streamwatch.bench import clip, publishers
from streamwatch.bench.clip import Clip, Gop
from streamwatch.domain.errors import OutsideError
from streamwatch.testcard.flv import FlvTag, TagKind

SPEC = replace(clip.SIZES["360p"], seconds=10)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    if shutil.which("ffmpeg") is None:
        pytest.skip("not installed: ffmpeg")
    path = tmp_path_factory.mktemp("clip") / SPEC.name
    clip.encode(SPEC, path)
    return clip.load(path, SPEC)


def test_key_pictures_and_bit_rate_are_those_of_real_streams(made: Clip) -> None:
    assert 20_000 < made.key_bytes < 38_000
    assert 600_000 < made.bits_per_s < 800_000


def test_groups_are_closed_and_of_one_length(made: Clip) -> None:
    assert len(made.programme) == 5
    for gop in (*made.programme, made.marker):
        pictures = [tag for tag in gop.tags if tag.kind is TagKind.VIDEO]
        assert len(pictures) == 50
        assert [tag.is_key for tag in pictures] == [True] + [False] * 49
        assert pictures[0].timestamp_ms == 0
        assert any(tag.kind is TagKind.AUDIO for tag in gop.tags)


def test_what_it_depends_on_is_in_its_name() -> None:
    names = {spec.name for spec in (SPEC, replace(SPEC, seed=2), replace(SPEC, kilobits=600))}
    assert len(names) == 3


def test_a_strange_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.flv").write_bytes(b"FLV\x01\x05\0\0\0\x09\0\0\0\0")
    with pytest.raises(OutsideError, match="no programme"):
        clip.load(tmp_path / "x.flv", SPEC)


def gop(word: str) -> Gop:
    return Gop((FlvTag(TagKind.VIDEO, 0, b"\x17\x01" + word.encode()),))


SMALL = Clip(SPEC, (FlvTag(TagKind.VIDEO, 7, b"\x17\x00head"),), tuple(gop(f"g{n}") for n in range(5)), gop("marker"))


def shown(number: int, count: int, every: int) -> list[str]:
    groups = islice(publishers.programme(SMALL, number, marker_every=every), count)
    return [group.tags[0].payload[2:].decode() for group in groups]


def test_the_marker_takes_the_place_of_one_group_in_so_many() -> None:
    for number in range(4):
        assert shown(number, 30, 10).count("marker") == 3
    assert shown(0, 30, 10) != shown(1, 30, 10)
    assert "marker" not in shown(0, 30, 0)


def test_publishers_key_pictures_are_spread_over_the_key_interval() -> None:
    phases = sorted(publishers.phase_s(number) for number in range(32))
    assert max(b - a for a, b in pairwise(phases)) < 0.15
    assert phases[-1] < clip.KEY_INTERVAL_S


async def test_times_go_on_without_a_gap_over_groups() -> None:
    begin = asyncio.get_running_loop().time() - 60.0  # long due: nothing waits
    async with aclosing(publishers.live(SMALL, 0, begin=begin, marker_every=0)) as tags:
        found = [await anext(tags) for _ in range(7)]
    assert found[0].is_header
    assert [tag.timestamp_ms for tag in found] == [0, 0, 2000, 4000, 6000, 8000, 10000]
