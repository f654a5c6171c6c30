"""Which files may import what opens a door: decoders, engines, brokers, databases. Read from the source."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "streamwatch"

DOORS = {
    "av": {"sources", "testcard", "bench/bare.py"},
    "cv2": {"detectors", "testcard", "bench/bare.py"},
    "onnxruntime": {"detectors/onnx.py"},
    "aiomqtt": {"bus"},
    "paho": {"bus"},
    "amqtt": {"bus/embedded.py"},
    "sqlite3": {"ledger"},
}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("library", sorted(DOORS))
def test_heavy_libraries_come_in_by_their_own_door_only(library: str) -> None:
    users = {path.relative_to(PACKAGE).as_posix() for path in sources() if library in imported(path)}
    strangers = {user for user in users if user not in DOORS[library] and user.partition("/")[0] not in DOORS[library]}
    assert users, f"nobody imports {library} any more: drop it from this table"
    assert not strangers


@pytest.mark.parametrize(("library", "files"), [("onnxruntime", 1), ("aiomqtt", 1), ("sqlite3", 1)])
def test_some_doors_are_a_single_file(library: str, files: int) -> None:
    users = [path for path in sources() if library in imported(path)]
    assert len(users) == files, users


def test_absolute_imports_only() -> None:
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path


def test_no_task_is_created_outside_a_task_group_unless_it_is_kept() -> None:
    """`asyncio.create_task` as a statement of its own is a task that nobody holds: it may vanish in mid-work."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                called = ast.unparse(node.value.func)
                assert called not in {"asyncio.create_task", "asyncio.ensure_future"}, path


def test_nothing_is_left_to_be_done_later() -> None:
    for path in sources():
        text = path.read_text(encoding="utf-8")
        for word in ("TO" + "DO", "FIX" + "ME", "XX" + "X"):
            assert word not in text, path
