"""Fail a test that leaves anything behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))  # where sandboxes.py lies

from sandboxes import Sandbox, wait_until

# How long an example takes says how busy the machine is. The examples are the same each time, so that a test fails
# for a change and not by chance; tests/fuzz.py draws others.
settings.register_profile(
    "lightsweep", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None
)
settings.register_profile(
    "fuzz", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=False, print_blob=True
)
settings.load_profile(os.environ.get("LIGHTSWEEP_TEST_PROFILE", "lightsweep"))

_WATCHED = ("agents", "channel", "cli", "client", "controller")


@pytest.fixture(scope="session", autouse=True)
def signals_as_in_the_foreground() -> None:
    """A shell's background job ignores Ctrl-C, and nohup a hangup, as do the processes that the tests start then."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """No thread of lightsweep, child process, changed variable or file in the directory that pytest was started in."""
    if request.path.relative_to(Path(__file__).parent).parts[0] not in _WATCHED:
        yield
        return
    home = request.config.invocation_params.dir
    before = _children(), dict(os.environ), {path.name for path in home.iterdir()}
    yield
    wait_until(
        lambda: not _threads() and not _children() - before[0], "threads and processes to end", 30.0, strict=False
    )
    assert _threads() == []
    assert _children() - before[0] == set()
    variables = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    assert variables == {name: value for name, value in before[1].items() if name != "PYTEST_CURRENT_TEST"}
    new = {path.name for path in home.iterdir()} - before[2]
    assert not {name for name in new if name.startswith("lightsweep")}


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("lightsweep")]


def _children() -> set[int]:
    """The child processes of this one, zombies included; empty where there is no /proc."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            found.add(int(path.parent.name))
    return found


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("LIGHTSWEEP")]:
        monkeypatch.delenv(name)
    made = Sandbox(tmp_path)
    yield made
    made.close()
