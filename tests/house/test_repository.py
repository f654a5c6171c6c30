"""About the repository as a whole."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MEDIA = {".mp4", ".flv", ".ts", ".mkv", ".jpg", ".jpeg", ".png", ".gif", ".webp", ".m4s", ".webm"}


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_large_binary_and_no_media_of_size_is_tracked() -> None:
    for path in tracked():
        size = path.stat().st_size
        assert size <= 1_000_000, path
        assert path.suffix.lower() not in MEDIA or size <= 200_000, path


def test_no_line_carries_a_path_of_somebodys_machine() -> None:
    strange = re.compile(r"/home/[a-z]+/|/root/")
    for path in tracked():
        if path == Path(__file__) or path.suffix in {".onnx", ".png"}:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not strange.search(text), path


def test_the_locks_name_every_package_with_hashes() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        packages = re.findall(r"^[a-z0-9][a-z0-9.-]*==.*?(?=^[a-z0-9]|\Z)", text, re.MULTILINE | re.DOTALL)
        assert len(packages) > 30
        assert all("--hash=sha256:" in package for package in packages)


def test_top_level_holds_what_the_house_has_and_nothing_else() -> None:
    here = {path.relative_to(ROOT).parts[0] for path in tracked()}
    assert here <= {
        "streamwatch", "models", "config", "tests", "scripts", "pyproject.toml", "README.md", "LICENSE",
        "CHANGELOG.md", "CONTRIBUTING.md", "docs", "requirements.lock", "requirements-dev.lock", ".gitignore", ".ci",
    }  # fmt: skip
