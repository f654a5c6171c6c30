"""`streamwatch models`: the detectors' model folders."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.table import Table

from streamwatch.app import examine
from streamwatch.app.equipment import equip
from streamwatch.cli import terminal
from streamwatch.detectors.folder import verify as verify_folder
from streamwatch.detectors.shipped import find_folder, shipped_roots
from streamwatch.domain.decisions import Mode
from streamwatch.domain.errors import ModelError
from streamwatch.telemetry import logs

app = typer.Typer(
    help="The detectors' model folders.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)

_MODEL = typer.Argument(metavar="MODEL", help="Model folder, e.g. models/test-card.")


@app.command("list", epilog="Example: streamwatch models list")
def list_() -> None:
    """List the models here and those shipped with streamwatch."""
    table = Table(box=None, pad_edge=False)
    for column in ("name", "version", "kind", "labels", "folder"):
        table.add_column(column, no_wrap=True, overflow="ignore")
    folders = {
        manifest.parent.resolve()
        for root in (Path.cwd(), *shipped_roots())
        for manifest in sorted((root / "models").glob("*/manifest.yaml"))
    }
    for folder in sorted(folders):
        try:
            verified = verify_folder(folder)
        except ModelError as error:
            table.add_row(folder.name, "-", "-", f"unusable: {error.problems[0].wrong}", str(folder))
            continue
        manifest = verified.manifest
        labels = ", ".join(verified.labels[:8]) + (" …" if len(verified.labels) > 8 else "")  # noqa: PLR2004
        table.add_row(manifest.name, manifest.version, manifest.kind.value, labels, str(folder))
    terminal.out.print(table, crop=False)


@app.command("show", epilog="Example: streamwatch models show models/test-card")
def show(model: str = _MODEL) -> None:
    """Show what a model's manifest says."""
    verified = verify_folder(find_folder(model, Path.cwd(), where="MODEL", key=""))
    typer.echo(verified.manifest.model_dump_json(indent=2, by_alias=True, exclude_none=True))


@app.command("verify", epilog="Example: streamwatch models verify models/test-card")
def verify(
    model: str = _MODEL,
    sandbox: str = typer.Option("required", help="As privacy.sandbox: required, preferred or off."),
) -> None:
    """Check a model: files, hash, labels, shapes; then load it in a sandboxed watcher and try its golden pictures."""
    logs.configure(process="models", level="warning")
    folder = find_folder(model, Path.cwd(), where="MODEL", key="")
    equipped = equip(name="verify", kind="onnx", folder=folder, mode=Mode.ACTIVE)
    terminal.run(examine.load(equipped, options=examine.Options(sandbox=sandbox)))
    manifest = equipped.verified.manifest
    typer.echo(f"{manifest.name} {manifest.version}: as its manifest says; sha256 {equipped.verified.sha256}")
