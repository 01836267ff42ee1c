"""The short form of the storm; ``make chaos`` runs the long one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

STORM = Path(__file__).parent / "storm.py"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("database", "points"), [("sqlite", 40), ("postgresql", 60)])
def test_nothing_is_lost(database: str, points: int) -> None:
    command = [sys.executable, str(STORM), "--database", database, "--points", str(points), "--limit", "600"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{points} points in" in done.stdout
    print(done.stdout)
