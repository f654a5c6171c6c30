"""Bytes as the specifications of RTMP, FLV and enhanced RTMP have them, written by hand."""

from __future__ import annotations

from streamwatch.wire import amf0

AVCC = bytes.fromhex("0164001effe100196764001eacd940a02ff961000003000100000300320f162d9601000468ef8fcbfdf8f800")
"""640 x 360, as x264 writes it."""
HVCC = bytes((1, 1, 0x60)) + bytes(20)


def header(form: int, csid: int, *, stamp: int = 0, length: int = 0, kind: int = 0, sid: int = 1) -> bytes:
    """A chunk's basic and message header; an extended time where the stamp needs one."""
    if csid < 64:
        out = bytes((form << 6 | csid,))
    elif csid < 320:
        out = bytes((form << 6, csid - 64))
    else:
        out = bytes((form << 6 | 1,)) + (csid - 64).to_bytes(2, "little")
    if form < 3:
        out += min(stamp, 0xFFFFFF).to_bytes(3)
    if form < 2:
        out += length.to_bytes(3) + bytes((kind,))
    if form == 0:
        out += sid.to_bytes(4, "little")
    return out + (stamp.to_bytes(4) if stamp >= 0xFFFFFF else b"")


def message(
    kind: int, body: bytes, *, csid: int = 4, stamp: int = 0, chunk: int = 128, form: int = 0, repeat: bool = True
) -> bytes:
    """A message in as many chunks as it needs. `repeat`: an extended time stands in every chunk."""
    out = header(form, csid, stamp=stamp, length=len(body), kind=kind) + body[:chunk]
    more = header(3, csid, stamp=stamp if repeat else 0)
    for at in range(chunk, len(body), chunk):
        out += more + body[at : at + chunk]
    return out


def metadata() -> bytes:
    said: amf0.Value = {"width": 640.0, "height": 360.0, "framerate": 30.0, "videocodecid": 7.0}
    return amf0.encode("onMetaData", said)


def result(transaction: float, *values: amf0.Value) -> bytes:
    return amf0.encode("_result", transaction, *values)


def status(code: str, level: str = "status") -> bytes:
    return amf0.encode("onStatus", 0.0, None, {"level": level, "code": code, "description": "so it is"})


def control(event: int, value: int) -> bytes:
    return event.to_bytes(2) + value.to_bytes(4)


def key(size: int = 300) -> bytes:
    return b"\x17\x01\x00\x00\x28" + bytes(i % 251 for i in range(size))


def between(size: int = 90) -> bytes:
    return b"\x27\x01\x00\x00\x00" + bytes(i % 241 for i in range(size))


SEQUENCE = b"\x17\x00\x00\x00\x00" + AVCC


def opening(chunk_size: int = 128) -> bytes:
    """What a server says between the handshake and the first picture."""
    return (
        message(5, (2_500_000).to_bytes(4), csid=2)
        + message(6, (2_500_000).to_bytes(4) + b"\x02", csid=2)
        + message(1, chunk_size.to_bytes(4), csid=2)
        + message(20, result(1, {"fmsVer": "FMS/3,0,1,123"}, {"code": "NetConnection.Connect.Success"}), csid=3,
                  chunk=chunk_size)
        + message(20, result(2, None, 1.0), csid=3, chunk=chunk_size)
        + message(4, control(0, 1), csid=2)
        + message(20, status("NetStream.Play.Start"), csid=5, chunk=chunk_size)
    )  # fmt: skip


def server_says(*, chunk_size: int = 4096, extended: bool = False) -> bytes:
    """An opening, one group of pictures with sound between, and the end."""
    at = 0xFFFFFFF0 if extended else 1000
    out = opening(chunk_size) + message(18, metadata(), csid=5, chunk=chunk_size)
    out += message(9, SEQUENCE, csid=7, stamp=at, chunk=chunk_size)
    out += message(9, key(), csid=7, stamp=0, chunk=chunk_size, form=1)
    for index in range(6):
        out += message(8, b"\xaf\x01" + bytes(30), csid=6, stamp=at if not index else 21, form=min(index, 1),
                       chunk=chunk_size)  # fmt: skip
        out += message(9, between(80 + index), csid=7, stamp=40, form=1, chunk=chunk_size)
    out += message(4, control(6, 77), csid=2, chunk=chunk_size) + message(3, bytes(4), csid=2, chunk=chunk_size)
    return out + message(20, status("NetStream.Play.UnpublishNotify"), csid=5, chunk=chunk_size)


def tag(kind: int, stamp: int, body: bytes) -> bytes:
    """An FLV tag as aggregates hold it."""
    head = bytes((kind,)) + len(body).to_bytes(3) + (stamp & 0xFFFFFF).to_bytes(3) + bytes((stamp >> 24, 0, 0, 0))
    return head + body + (11 + len(body)).to_bytes(4)


def aggregate() -> bytes:
    body = tag(9, 500, SEQUENCE) + tag(9, 500, key(60)) + tag(8, 510, b"\xaf\x01abc") + tag(9, 540, between(30))
    return opening() + message(22, body, csid=8, stamp=9000)
