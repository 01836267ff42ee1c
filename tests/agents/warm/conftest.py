"""A starter of scripts in a directory of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from warm_starter import Starter

collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]
"""Runs start warm on Linux only."""


@pytest.fixture
def starter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Starter]:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("LIGHTSWEEP") and name != "LIGHTSWEEP_TEST_RUNS"]:
        monkeypatch.delenv(name)
    made = Starter(tmp_path)
    yield made
    made.close()
