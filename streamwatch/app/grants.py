"""What watchers must be granted for a setup: folders of models, files that are streams, ports. And when it is more."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from streamwatch.domain.streams import StreamSpec
from streamwatch.domain.urls import SafeUrl
from streamwatch.link.messages import Configure
from streamwatch.sandbox.grant import Grant
from streamwatch.sources.address import AllowEntry, is_literal

_DNS = 53


def grant_of(configure: Configure, streams: Iterable[StreamSpec], *, memory: int) -> Grant:
    """The least that these streams can be read with. `memory`: bytes over which a watcher is replaced."""
    return grant_for(
        (spec.url for spec in streams),
        folders=(detector.folder for detector in configure.detectors),
        allow_hosts=configure.allow_hosts,
        memory=memory,
    )


def grant_for(
    urls: Iterable[SafeUrl], *, folders: Iterable[str] = (), allow_hosts: Iterable[str] = (), memory: int = 2**30
) -> Grant:
    """The same for addresses alone.

    Any port is granted where an entry of `allow_hosts` names none; datagrams only where a name has to be resolved, or
    for SRT. Which host may be connected to is not the kernel's to judge, but the address policy's.
    """
    urls = tuple(urls)
    entries = [AllowEntry.parse(entry) for entry in allow_hosts]
    files = (os.path.realpath(url.path) for url in urls if url.scheme == "file")
    remote = [url for url in urls if url.scheme != "file"]
    datagrams = any(url.scheme == "srt" or not is_literal(url.host) for url in remote) or any(
        entry.network is None for entry in entries
    )
    ports: tuple[int, ...] | None = None
    if not remote:
        ports = ()
    elif all(entry.port is not None for entry in entries):
        named = {entry.port for entry in entries if entry.port is not None}
        ports = tuple(sorted({url.port for url in remote if url.port} | named | ({_DNS} if datagrams else set())))
    return Grant(read=tuple(sorted({*folders, *files})), ports=ports, udp=datagrams, memory=memory)


class Grants:
    """What the running watchers were granted, and whether another setup can be served by them."""

    def __init__(self, given: Grant) -> None:
        self.given = given
        self._places = _places(given)

    def lacks(self, wanted: Grant) -> bool:
        """Whether watchers must be replaced before they can do what is wanted.

        A folder that was exchanged for another one of the same name is another folder to the kernel.
        """
        given = self.given
        if not _places(wanted) <= self._places or wanted.memory != given.memory:
            return True
        if wanted.udp and not given.udp:
            return True
        return given.ports is not None and (wanted.ports is None or not set(wanted.ports) <= set(given.ports))

    def give(self, grant: Grant) -> None:
        """Watchers are started with this from now on."""
        self.given, self._places = grant, _places(grant)


def _places(grant: Grant) -> frozenset[tuple[str, int, int]]:
    def place(path: str) -> tuple[str, int, int]:
        try:
            state = Path(path).stat()
        except OSError:
            return path, 0, 0
        return path, state.st_dev, state.st_ino

    return frozenset(map(place, grant.read))
