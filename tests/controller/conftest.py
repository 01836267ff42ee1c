from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lightsweep.storage import Storage, open_storage


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    opened = open_storage(f"sqlite:///{tmp_path}/sweeps.db")
    yield opened
    opened.close()
