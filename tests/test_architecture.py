"""The rooms stand as docs/architecture.md draws them: a file imports only from floors below its own."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {
    "errors": 0,
    "space": 1,
    "hyperband": 1,
    "channel": 1,
    "schema": 2,
    "command": 3,
    "sampler": 3,
    "storage": 3,
    "controller": 4,
    "agents": 5,
    "analysis": 5,
    "report": 6,
    "results": 7,
    "cli": 8,
}
# The side rooms that training scripts load, and all that they may know.
SIDES = {"client": {"channel", "errors"}, "integrations": {"client", "errors"}}
# The package's own surface, which resolves names of every floor when they are asked for.
SURFACE = {"__init__", "__main__"}


def sources() -> list[Path]:
    return sorted([*(ROOT / "lightsweep").rglob("*.py"), *(ROOT / "integrations").rglob("*.py")])


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return "integrations" if parts[0] == "integrations" else parts[1].removesuffix(".py")


def rooms_imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            # Names of the surface, such as lightsweep.Sweep, are no rooms: whoever uses them is a user.
            if parts[0] == "lightsweep" and len(parts) > 1 and parts[1] in FLOORS | SIDES:
                found.add(parts[1])
    return found


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path: Path) -> None:
    room = room_of(path)
    if room in SURFACE:
        return
    for other in rooms_imported(path) - {room}:
        if room in SIDES:
            assert other in SIDES[room], f"{room} may know {SIDES[room]} only, not {other}"
        elif other in SIDES:
            assert FLOORS[room] > FLOORS["channel"], f"{room} is below {other}"
        else:
            assert FLOORS[other] < FLOORS[room] or (room, other) == ("cli", "cli"), f"{room} must not import {other}"


def test_every_room_is_on_the_page() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    for room in {room_of(path) for path in sources()} - SURFACE:
        assert re.search(rf"`{room}(/|\.py)`", page), f"docs/architecture.md does not mention {room}"


def test_no_module_bears_the_name_of_a_function_of_the_package() -> None:
    taken = {path.stem for path in (ROOT / "lightsweep").iterdir()}
    assert not taken & {"sweep", "agent", "config", "run", "log", "init"}


def test_files_stay_small() -> None:
    long = {str(path): count for path in sources() if (count := len(path.read_text().splitlines())) > 400}
    assert not long
