"""FFmpeg's errors to ours, at the door: what an errno means depends on how far the stream had come and how long ago."""

from __future__ import annotations

import errno
from dataclasses import dataclass

import av.error

from streamwatch.domain.errors import (
    CodecUnsupported,
    Dropped,
    NotPublished,
    PolicyRefused,
    Refused,
    Stalled,
    StreamError,
    Unreachable,
)
from streamwatch.sources.dial import CLOSED_PORT_GRACE_S

FROM_AV = av.error.FFmpegError
"""What PyAV raises from open and demux. Its classes also derive from builtins (OSError, ValueError), which must not be
caught in their place: a sink's own error would then pass for the stream's."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stream had come when an error struck."""

    scheme: str
    media: bool
    """At least one packet of video had arrived."""
    silence_s: float
    """Seconds since the connection or the last packet."""
    patience_s: float
    """The read time-out in force: a shorter silence was not a time-out."""

    @property
    def timed_out(self) -> bool:
        """The silence was as long as the read time-out, give or take a timer."""
        return self.silence_s >= 0.9 * self.patience_s


def translate(error: BaseException, progress: Progress) -> StreamError:
    """Return the error of our tree for what av raised; the caller raises it `from` the original."""
    if isinstance(error, StreamError):
        return _after_media(error, progress)
    name = type(error).__name__
    plain = _plain(error, name, progress.scheme)
    if plain is not None:
        return _after_media(plain, progress)
    return _broken(name, progress) if progress.media else _unopened(error, name, progress)


def _plain(error: BaseException, name: str, scheme: str) -> StreamError | None:
    """Errors that mean the same at any time."""
    if isinstance(error, av.error.ProtocolNotFoundError):
        return CodecUnsupported(f"this build of FFmpeg cannot receive {scheme}")
    if isinstance(error, av.error.DecoderNotFoundError | av.error.DemuxerNotFoundError | av.error.PatchWelcomeError):
        return CodecUnsupported(f"FFmpeg cannot read this stream ({name})")
    if isinstance(error, PermissionError) and error.errno == errno.EACCES:
        return PolicyRefused("the sandbox forbids connecting to this port")
    if isinstance(error, av.error.HTTPClientError | PermissionError):
        # RTSP answers in HTTP's numbers; RTMP's NetStream.Play.StreamNotFound reads EPERM.
        return Refused(f"the server has no such stream, or not for us ({name})")
    if isinstance(error, ConnectionRefusedError):
        return Unreachable("nobody listens there", grace_s=CLOSED_PORT_GRACE_S)
    return None


def _after_media(error: StreamError, progress: Progress) -> StreamError:
    """A server that cannot be reached any more, after it delivered, broke off."""
    return Dropped(str(error)) if progress.media and isinstance(error, Unreachable) else error


def _broken(name: str, progress: Progress) -> StreamError:
    if progress.timed_out and not _fetched(progress):
        return Stalled(f"nothing came for {progress.silence_s:.0f} s")
    return Dropped(f"the connection broke ({name})")


def _unopened(error: BaseException, name: str, progress: Progress) -> StreamError:
    if isinstance(error, TimeoutError):
        return Stalled("the server accepts connections and says nothing")
    if progress.timed_out and not _fetched(progress):
        # RTMP reads EIO where the handshake was answered and no media followed.
        return NotPublished("the server accepts us and sends nothing") if _rtmp(progress) else Stalled("nothing came")
    if isinstance(error, av.error.InvalidDataError) or _fetched(progress):
        return CodecUnsupported("the bytes are no stream that FFmpeg knows")
    return Refused(f"the server closed the connection at once ({name})")


def _fetched(progress: Progress) -> bool:
    """FFmpeg saw no network: the bytes were read for it, and what the network did was said there."""
    return progress.scheme in ("http", "https", "file")


def _rtmp(progress: Progress) -> bool:
    return progress.scheme in ("rtmp", "rtmps")


def ended(progress: Progress) -> StreamError | None:
    """What an orderly end of the bytes means: None where it is the server's word that the stream is over."""
    if progress.scheme in ("http", "https"):
        return None  # the playlist said so
    if not progress.media:
        if progress.scheme == "file":
            return CodecUnsupported("a file without video")
        return Refused("the server ended the stream before it began")
    if progress.scheme in ("rtsp", "srt"):
        return Dropped("the server closed the connection")  # FFmpeg does not tell a goodbye from a hang-up here
    return None
