"""The short form of the storm; ``make chaos`` runs the long one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from chaos.storm import Storm, database, verify

pytestmark = pytest.mark.slow


@pytest.fixture
def seed() -> int:
    return random.SystemRandom().randrange(10**6)


def test_nothing_is_lost_on_sqlite(tmp_path: Path, seed: int) -> None:
    storm = Storm(f"sqlite:///{tmp_path}/sweeps.db", tmp_path, agents=4, points=40, seed=seed)
    verify(storm, storm.rage(150))
    assert storm.blows


def test_nothing_is_lost_on_postgresql(tmp_path: Path, seed: int) -> None:
    with database() as (url, restart):
        storm = Storm(url, tmp_path, agents=6, points=60, seed=seed, restart_database=restart)
        verify(storm, storm.rage(150))
        assert storm.blows
