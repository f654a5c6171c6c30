from __future__ import annotations

from pathlib import Path

import pytest

from streamwatch.app.grants import Grants, grant_for
from streamwatch.domain.urls import SafeUrl
from streamwatch.sandbox.grant import Grant


def granted(*urls: str, allow: tuple[str, ...] = (), folders: tuple[str, ...] = ()) -> Grant:
    return grant_for(map(SafeUrl, urls), allow_hosts=allow, folders=folders)


@pytest.mark.parametrize(
    ("urls", "allow", "ports", "udp"),
    [
        ((), (), (), False),
        (("rtmp://127.0.0.1/live/a", "rtmp://127.0.0.1:1936/live/b"), (), (1935, 1936), False),
        (("rtmp://[::1]/live/a",), (), (1935,), False),
        (("https://cdn.example/x.m3u8",), (), (53, 443), True),  # the name has to be resolved
        (("http://10.0.0.1:8080/x.m3u8",), ("10.0.0.0/8:8081",), (8080, 8081), False),
        (("http://10.0.0.1:8080/x.m3u8",), ("10.0.0.0/8",), None, False),
        (("http://10.0.0.1:8080/x.m3u8",), ("media.example:443",), (53, 443, 8080), True),
        (("srt://10.0.0.1:9000",), (), (53, 9000), True),
        (("/videos/a.mp4",), ("media.example",), (), True),
    ],
)
def test_no_port_and_no_datagram_beyond_what_the_addresses_need(
    urls: tuple[str, ...], allow: tuple[str, ...], ports: tuple[int, ...] | None, *, udp: bool
) -> None:
    grant = granted(*urls, allow=allow)
    assert (grant.ports, grant.udp) == (ports, udp)


def test_what_may_be_read_are_models_and_files(tmp_path: Path) -> None:
    assert granted(str(tmp_path / "a.mp4"), "rtmp://h/a/b", folders=("/models/x",)).read == (
        "/models/x",
        str(tmp_path / "a.mp4"),
    )


def test_watchers_are_renewed_for_more_and_not_for_less(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    given = Grant(read=(str(one), str(two)), ports=(1935, 554))
    grants = Grants(given)
    assert not grants.lacks(given)
    assert not grants.lacks(Grant(read=(str(one),), ports=(554,)))
    assert grants.lacks(Grant(read=(str(tmp_path / "three"),), ports=()))
    assert grants.lacks(Grant(ports=(555,)))
    assert grants.lacks(Grant(ports=None))
    assert grants.lacks(Grant(udp=True))
    assert grants.lacks(Grant(memory=5))
    grants.give(Grant(ports=None, udp=True))
    assert not grants.lacks(Grant(ports=(1, 2), udp=True))


def test_a_folder_that_was_exchanged_is_another_one(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    grants = Grants(Grant(read=(str(model),)))
    model.rename(tmp_path / "old")
    model.mkdir()
    assert grants.lacks(Grant(read=(str(model),)))
