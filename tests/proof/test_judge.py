"""The judge itself, without any system: what a trace says, what is allowed, what is found."""
# ruff: noqa: S108 - paths in traces, which nobody opens

import base64
import gzip
import os
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.proof import places, trace
from tests.proof.allowed import Site, judge
from tests.proof.finder import Finder, various
from tests.proof.haystack import Blob, search

SITE = Site(Path("/state"), broker=1883, http=frozenset({9464}), ingest=frozenset({1935}))
SECRET = os.urandom(24)
FINDER = Finder({"secret": [SECRET], "others": [os.urandom(24) for _ in range(50_000)]})


def x(text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    return "".join(f"\\x{byte:02x}" for byte in data)


def quoted(text: str | bytes) -> str:
    return f'"{x(text)}"'


def runs(*words: str) -> str:
    return f"1.0 execve({quoted(words[0])}, [{', '.join(map(quoted, words))}], 0x7f /* 9 vars */) = 0"


def of(role: str, *lines: str) -> list[trace.Process]:
    """A daemon, 1, and its watcher, 2; the lines are what one of them did."""
    daemon = [runs(sys.executable, "-m", "streamwatch", "run"), "2.0 vfork() = 2"]
    watcher = [runs(sys.executable, "-P", "-m", "streamwatch.app.watcher")]
    (daemon if role == "daemon" else watcher).extend(f"3.0 {line}" for line in lines)
    return list(trace.processes({1: daemon, 2: watcher}).values())


def found(role: str, *lines: str) -> list[str]:
    return [f"{one.place}: {one.what}" for one in judge(of(role, *lines), SITE).findings]


# --- the trace -------------------------------------------------------------------------------------------------------


def test_a_call_is_read_with_its_texts_and_descriptors() -> None:
    line = f"17.5 write(5<{x('/tmp/a>b (c)')}>, {quoted(b'abc)= 7')}, 7) = 7"
    made = trace.call(line)
    assert made is not None
    assert (made.at, made.name, made.number, made.failed) == (17.5, "write", 7, False)
    assert made.texts == (b"abc)= 7",)
    assert made.on == trace.Descriptor("5", "/tmp/a>b (c)", "", deleted=False)


@pytest.mark.parametrize(
    ("text", "path", "label"),
    [
        ("3<UNIX-STREAM:[474620->474621]>", "", "UNIX-STREAM:[474620->474621]"),
        ("8<TCP:[127.0.0.1:47872->127.0.0.1:53989]>", "", "TCP:[127.0.0.1:47872->127.0.0.1:53989]"),
        (f"1<{x('/dev/null')}<char 1:3>>", "/dev/null", ""),
        (f"9<{x('/memfd:zz')}>(deleted)", "/memfd:zz", ""),
        (f"AT_FDCWD<{x('/tmp')}>", "/tmp", ""),
    ],
)
def test_descriptors_are_told_apart(text: str, path: str, label: str) -> None:
    made = trace.call(f"1.0 write({text}, {quoted('x')}, 1) = 1")
    assert made is not None
    assert made.on is not None
    assert (made.on.path, made.on.label) == (path, label)


def test_a_call_that_never_returned_counts_too() -> None:
    made = trace.call(f"1.0 write(5<{x('/tmp/a')}>, {quoted(SECRET)}, 24 <unfinished ...>")
    assert made is not None
    assert made.texts == (SECRET,)


def test_threads_go_with_their_process_and_its_end_is_known() -> None:
    lines = {
        10: [runs("python"), "2.0 clone3({flags=CLONE_VM|CLONE_THREAD, child_tid=0x7f}, 88) = 11", "2.1 vfork() = 12"],
        11: ["3.0 memfd_create(" + quoted("zz") + ", MFD_CLOEXEC) = 3<" + x("/memfd:zz") + ">(deleted)"],
        12: [runs("true"), "4.0 +++ killed by SIGSEGV (core dumped) +++"],
    }
    made = trace.processes(lines)
    assert sorted(made) == [10, 12]
    assert [call.name for call in made[10].calls][-1] == "memfd_create"
    assert (made[12].parent, made[12].end, made[12].core) == (10, "SIGSEGV", True)


# --- what is allowed -------------------------------------------------------------------------------------------------

BOX = x("/memfd:streamwatch-black-box")
_INET = 'sin_addr=inet_addr("' + x("127.0.0.1") + '")'
LAWFUL = [
    ("daemon", f'openat(AT_FDCWD<{x("/w")}>, "{x("/state/a")}", O_RDWR|O_CREAT, 0600) = 5<{x("/state/a")}>'),
    ("daemon", f"pwrite64(5<{x('/state/a')}>, {quoted(b'z' * 4096)}, 4096, 0) = 4096"),
    ("daemon", f"unlink({quoted('/state/a-wal')}) = 0"),
    ("daemon", f"memfd_create({quoted('streamwatch-black-box')}, MFD_CLOEXEC) = 9<{x('/memfd:x')}>(deleted)"),
    ("watcher", f"openat(AT_FDCWD<{x('/w')}>, {quoted('/dev/null')}, O_RDWR) = 5<{x('/dev/null')}<char 1:3>>"),
    ("watcher", f"openat(AT_FDCWD<{x('/w')}>, {quoted('/etc/hosts')}, O_RDONLY|O_CLOEXEC) = 5<{x('/etc/hosts')}>"),
    ("watcher", f"openat(AT_FDCWD<{x('/w')}>, {quoted('/tmp/a')}, O_WRONLY|O_CREAT, 0666) = -1 EACCES (no)"),
    ("watcher", f"sendto(4<UNIX-STREAM:[5->6]>, {quoted(b'scores')}, 6, 0, NULL, 0) = 6"),
    ("watcher", f"write(2<pipe:[77]>, {quoted(b'line')}, 4) = 4"),
    ("watcher", f"sendto(7<TCP:[127.0.0.1:5->127.0.0.1:1935]>, {quoted(b'play')}, 4, 0, NULL, 0) = 4"),
    ("watcher", f"mmap(NULL, 512, PROT_READ|PROT_WRITE, MAP_SHARED, 9<{BOX}>(deleted), 0) = 0x7f"),
]  # fmt: skip
UNLAWFUL = [
    ("daemon", f"openat(AT_FDCWD<{x('/w')}>, {quoted('/statex/a')}, O_WRONLY|O_CREAT, 0600) = 5<{x('/statex/a')}>"),
    ("watcher", f"openat(AT_FDCWD<{x('/w')}>, {quoted('/state/a')}, O_WRONLY, 0600) = 5<{x('/state/a')}>"),
    ("watcher", f"openat(AT_FDCWD<{x('/w')}>, {quoted('/tmp')}, O_RDWR|O_TMPFILE, 0600) = 5<{x('/tmp/#1')}>(deleted)"),
    ("watcher", f"openat(AT_FDCWD<{x('/w')}>, {quoted('/dev/shm/a')}, O_RDWR|O_CREAT, 0600) = 5<{x('/dev/shm/a')}>"),
    ("watcher", f"setxattr({quoted('/etc/hosts')}, {quoted('user.a')}, {quoted(b'pixels')}, 6, 0) = 0"),
    ("watcher", f"memfd_create({quoted('streamwatch-black-box')}, MFD_CLOEXEC) = 9<{x('/memfd:x')}>(deleted)"),
    ("daemon", f"memfd_create({quoted('other')}, MFD_CLOEXEC) = 9<{x('/memfd:other')}>(deleted)"),
    ("watcher", f"sendto(4<UNIX-STREAM:[5->6]>, {quoted(b'z' * 20000)}, 20000, 0, NULL, 0) = 20000"),
    ("watcher", f"sendto(7<TCP:[127.0.0.1:5->127.0.0.1:80]>, {quoted(b'play')}, 4, 0, NULL, 0) = 4"),
    ("watcher", f"connect(7<TCP:[99]>, {{sa_family=AF_INET, sin_port=htons(80), {_INET}}}, 16) = -1 EINPROGRESS (now)"),
    ("watcher", f"connect(7<UNIX-STREAM:[9]>, {{sa_family=AF_UNIX, sun_path={quoted('/run/x')}}}, 16) = 0"),
    ("watcher", f"mmap(NULL, 9000, PROT_READ|PROT_WRITE, MAP_SHARED, 9<{BOX}>(deleted), 0) = 0x7f"),
    ("daemon", f"execve({quoted('/bin/true')}, [{quoted('true')}], 0x7f /* 3 vars */) = 0"),
    ("watcher", f"write(9<{x('/memfd:a')}>(deleted), {quoted(b'abc')}, 3) = 3"),
    ("watcher", f"unlink({quoted('/tmp/a')}) = 0"),
]  # fmt: skip


@pytest.mark.parametrize(("role", "line"), LAWFUL)
def test_what_the_allow_list_names_is_no_finding(role: str, line: str) -> None:
    assert found(role, line) == []


@pytest.mark.parametrize(("role", "line"), UNLAWFUL)
def test_everything_else_is_one(role: str, line: str) -> None:
    assert len(found(role, line)) == 1


def test_what_was_refused_is_listed() -> None:
    judged = judge(of("watcher", LAWFUL[6][1]), SITE)
    assert dict(judged.refused) == {"watcher: openat: EACCES /tmp/a": 1}


def test_much_said_in_small_pieces_is_found() -> None:
    line = f"sendto(4<UNIX-STREAM:[5->6]>, {quoted(b'z' * 4096)}, 4096, 0, NULL, 0) = 4096"
    assert found("watcher", *[line] * 200)
    assert not found("watcher", *[line] * 20)


def test_what_is_said_in_pieces_is_searched_whole() -> None:
    halves = [f"write(2<pipe:[7]>, {quoted(part)}, 12) = 12" for part in (SECRET[:12], SECRET[12:])]
    said = [blob for blob in judge(of("watcher", *halves), SITE).said if search(blob, FINDER)]
    assert [blob.place for blob in said] == ["watcher 2, pipe pipe:[7]"]


# --- what is found ---------------------------------------------------------------------------------------------------

WRAPPINGS: dict[str, Callable[[bytes], bytes]] = {
    "openly": bytes,
    "base64": base64.b64encode,
    "base64 in lines": base64.encodebytes,
    "base64 for addresses": base64.urlsafe_b64encode,
    "hex": lambda data: data.hex().encode(),
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "base64 of zlib": lambda data: base64.b64encode(zlib.compress(data)),
    "a literal": lambda data: repr(data).encode(),
    "percent signs": lambda data: b"".join(b"%%%02X" % byte for byte in data),
}


@pytest.mark.parametrize("way", WRAPPINGS)
@pytest.mark.parametrize("before", range(4))
def test_a_piece_is_found_however_it_is_wrapped_up(way: str, before: int) -> None:
    wrapped = WRAPPINGS[way](os.urandom(40 + before) + SECRET + os.urandom(40))
    hits = search(Blob("here", b"text: " + wrapped + b"\n"), FINDER)
    assert any("secret" in hit.what for hit in hits), way


def test_a_piece_is_found_at_every_place_also_where_blocks_meet() -> None:
    step = 8 << 20
    for place in (0, 1, 7, step - 23, step - 8, step - 1, step, step + 5):
        data = bytearray(step + 100)
        data[place : place + len(SECRET)] = SECRET
        assert [hit.offset for hit in FINDER.hits(bytes(data))] == [place]
    assert FINDER.hits(SECRET) != []
    assert FINDER.hits(SECRET[:-1]) == []


def test_nothing_is_found_where_nothing_is() -> None:
    assert FINDER.hits(os.urandom(16 << 20)) == []


def test_pieces_that_chance_could_make_are_not_taken() -> None:
    assert not various(b"\x80" * 24)
    with pytest.raises(ValueError, match="16 to 64"):
        Finder({"short": [b"abc"]})


@pytest.mark.parametrize(
    "head",
    [b"\xff\xd8\xff\xe0\0\x10JFIF\0", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\0\0\0WEBPVP8 ", b"GIF89a\x10\0\x10\0\0\0",
     b"FLV\x01\x01\0\0\0\x09", b"\0\0\0\x1cftypavif", b"\x93NUMPY\x01\0"],
)  # fmt: skip
def test_any_picture_in_our_own_places_is_found_and_elsewhere_is_not_ours(head: bytes) -> None:
    assert search(Blob("ours", b"x" * 50 + head + b"y" * 50), FINDER)
    assert search(Blob("ours", base64.b64encode(head * 4)), FINDER)
    assert not search(Blob("theirs", b"x" * 50 + head, ours=False), FINDER)


def test_changed_files_their_names_and_attributes_are_seen(tmp_path: Path) -> None:
    old, new, left_out = (tmp_path / name for name in ("old", "new", "servers"))
    old.write_bytes(b"old")
    since = old.stat().st_ctime + 0.001
    while new.write_bytes(b"new") and new.stat().st_ctime < since:
        pass
    left_out.mkdir()
    (left_out / "segment").write_bytes(b"lawful")
    os.setxattr(new, "user.note", b"here")
    tally = places.Tally()
    seen = list(places.changed([tmp_path], since=since, ours=tmp_path, without=[left_out], tally=tally))
    texts = {blob.data for blob in seen}
    assert {b"new", b"user.note\0here"} <= texts
    assert not texts & {b"old", b"lawful"}
    assert tally.changed == 1


def test_mounts_that_can_be_written_are_known() -> None:
    table = (
        "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
        "23 22 0:5 / /proc rw - proc proc rw\n"
        "24 22 0:6 / /ro ro - ext4 /dev/vdb ro\n"
        "25 22 0:7 / /dev/shm rw - tmpfs tmpfs rw\n"
        "26 22 254:0 /a /bound\\040here rw - ext4 /dev/vda rw\n"
    )
    assert places.writable_mounts(table) == (Path("/"), Path("/dev/shm"))
