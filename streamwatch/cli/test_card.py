"""`streamwatch test-card`: the harmless pattern that proves a chain from broadcaster to moderator."""

from __future__ import annotations

from pathlib import Path

import typer

from streamwatch.cli import terminal
from streamwatch.domain.errors import Problem, UserError
from streamwatch.telemetry import logs

app = typer.Typer(
    help="The harmless test pattern, as a picture or a live stream.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.command("png", epilog="Example: streamwatch test-card png card.png --size 1280x720")
def png(
    file: Path = typer.Argument(metavar="FILE", help="Where to write it."),
    size: str = typer.Option("1280x720", help="WIDTHxHEIGHT in pixels."),
) -> None:
    """Write the test card as a PNG picture."""
    from streamwatch.testcard.png import write_png  # noqa: PLC0415  # OpenCV loads only where it is needed

    width, height = _size(size)
    try:
        write_png(file, width, height)
    except OSError as error:
        raise UserError(Problem("FILE", "", f"cannot write {file}: {error.strerror or error}")) from error
    terminal.err.print(f"wrote {file}: {width}x{height}")


@app.command("publish", epilog="Example: streamwatch test-card publish rtmp://127.0.0.1/live/lobby --for 1m")
def publish(
    url: str = typer.Argument(metavar="URL", help="Where to publish: rtmp://HOST[:PORT]/APP/NAME[?KEY]."),
    for_: str | None = typer.Option(None, "--for", help="Stop after so long; default: Ctrl-C."),
    size: str = typer.Option("1280x720", help="WIDTHxHEIGHT in pixels."),
    fps: int = typer.Option(25, min=1, max=60, help="Frames a second."),
) -> None:
    """Publish the test card as a live stream: the self-test of a whole production chain."""
    from streamwatch.testcard.rtmp_publish import publish_card  # noqa: PLC0415  # the encoder loads only here

    logs.configure(process="test-card", level="warning")
    address = terminal.stream_url(url)
    if address.scheme not in {"rtmp", "rtmps"}:
        raise UserError(Problem("URL", "", f"cannot publish to {address.scheme}", "an rtmp:// or rtmps:// address"))
    width, height = _size(size)
    seconds = None if for_ is None else terminal.seconds(for_, option="--for")
    terminal.run(
        publish_card(
            address,
            width=width,
            height=height,
            fps=fps,
            seconds=seconds,
            on_state=lambda state: terminal.err.print(f"{state} {address}"),
        ),
    )


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and 16 <= int(width) <= 8192 and 16 <= int(height) <= 8192):  # noqa: PLR2004
        raise UserError(Problem("--size", "", f"{text!r} is not a size", "WIDTHxHEIGHT, each from 16 to 8192"))
    return int(width), int(height)
