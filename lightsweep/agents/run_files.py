"""The files of runs: their places and their removal, the checkpoints of the best runs, and files that runs share."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lightsweep.agents.active_run import RUNS
from lightsweep.controller import RunState, Sweep, SweepRun, best_run
from lightsweep.controller.summary import group_views
from lightsweep.schema.sections import Metric

_SUFFIXES = frozenset(
    {
        *(".bin", ".ckpt", ".gguf", ".h5", ".joblib", ".keras", ".model", ".msgpack", ".onnx"),
        *(".pickle", ".pkl", ".pt", ".pth", ".safetensors", ".tflite", ".ubj"),
    }
)
_CHECKPOINT = re.compile(r"checkpoint[-_]\w+")
_NUMBER = re.compile(r"\d{4,}")
_TICK = 20_000_000  # nanoseconds by which the times of files may lag behind the clock
_KEPT = ("artifacts", "media")
_LOOKS = 10
_MOST_FILES = 100_000
_LONGEST_LOOK = 5.0  # seconds
_NOT_LOOKED_AT = (".", "__pycache__", "node_modules", "site-packages", RUNS.name)


def is_checkpoint(path: Path, home: Path) -> bool:
    """Tell by its name whether a file is a checkpoint or a model, or in a directory like ``checkpoint-500``.

    Args:
        path: The file.
        home: A directory above it, whose own name does not count.
    """
    above = path.relative_to(home).parts[:-1]
    return path.suffix.lower() in _SUFFIXES or any(_CHECKPOINT.fullmatch(name) for name in above)


# --- directories


def sweep_directories(sweep: Sweep, runs: Iterable[SweepRun]) -> list[Path]:
    """Return the directories on this machine in which agents have kept the runs of a sweep.

    They are those that the runs name; and for runs of older versions, which name none, ``lightsweep_runs/ID`` in the
    working directory and beside the sweep file.
    """
    named = [Path(directory).parent for run in runs for directory in run.directories]
    roots = [Path.cwd(), *([Path(sweep.directory)] if sweep.directory else [])]
    found = dict.fromkeys([*named, *(root / RUNS / sweep.id for root in roots)])
    # The storage may be another's, so nothing else is ever removed.
    return [path for path in found if path.parts[-2:] == (RUNS.name, sweep.id) and _is_directory(path)]


def run_directories(sweep: Sweep, run: SweepRun) -> list[Path]:
    """Return the directories of a run that are on this machine."""
    if not _NUMBER.fullmatch(run.id):
        return []
    homes = sweep_directories(sweep, [run])
    return [home / run.id for home in homes if _is_directory(home / run.id)]


def elsewhere(directories: Iterable[Path], runs: Iterable[SweepRun]) -> list[str]:
    """Return ``HOST:DIRECTORY`` of runs that are not on this machine."""
    known = {str(path) for path in directories}
    return list(
        dict.fromkeys(
            f"{run.agent.partition(':')[0]}:{directory}"
            for run in runs
            for directory in run.directories
            if directory not in known and str(Path(directory).parent) not in known and not Path(directory).exists()
        )
    )


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def measure(directories: Iterable[Path]) -> tuple[int, int]:
    """Return the number of files in directories, and their bytes."""
    files = [path for directory in directories for path in _files(directory)]
    sizes = 0
    for path in files:
        with suppress(OSError):  # it may be gone by now
            sizes += path.lstat().st_size
    return len(files), sizes


def remove(directory: Path) -> None:
    """Remove a directory with all that is in it; links in it are removed, and their targets stay.

    Raises:
        OSError: Something in it cannot be removed.
    """
    shutil.rmtree(directory)


def _files(directory: Path) -> Iterator[Path]:
    """Yield the files below a directory, without following links to directories."""
    for above, _, names in os.walk(directory):
        yield from (Path(above, name) for name in names)


# --- checkpoints of the best runs


class BestCheckpoints:
    """Keeps the checkpoints of the best runs of a sweep, and removes those of the others from their directories.

    Only runs with a result count, and only files that :func:`is_checkpoint` finds in the directories of this agent's
    own runs are removed; links stay, and so do media and artifacts, which the script has asked to keep. With repeats,
    runs whose group is not decided keep theirs, since it may become the best.

    Args:
        sweep: The sweep.
        home: The directory of the agent's runs.
    """

    def __init__(self, sweep: Sweep, home: Path) -> None:
        self._sweep = sweep
        self._home = home
        self._lock = threading.Lock()
        self._cleared: set[str] = set()

    def clear(self) -> list[str]:
        """Remove what is not to be kept by now, and return the ids of the runs that lost files.

        Raises:
            StorageUnavailableError: The database does not answer; a later call removes the rest.
        """
        metric, kept = self._sweep.config.metric, self._sweep.config.options.keep_checkpoints
        if kept is None or metric is None:
            return []
        self._sweep.refresh()
        with self._lock:
            return self._clear(metric, kept)

    def _clear(self, metric: Metric, kept: int) -> list[str]:
        sign = 1 if metric.goal == "minimize" else -1
        ended = [
            run
            for run in self._sweep.known_runs()
            if run.state in (RunState.FINISHED, RunState.PRUNED) and not run.prior
        ]
        valued = [run for run in ended if run.best is not None]
        first = best_run(valued, self._sweep.config)  # with repeats, a run of the best group
        best = sorted(valued, key=lambda run: (run is not first, bool(run.breaks), sign * (run.best or 0), run.id))
        keep = {run.id for run in best[:kept]}
        if kept:
            open_ = [group for group in group_views(self._sweep) if group.state in ("running", "waiting")]
            keep |= {run.id for group in open_ for run in group.runs}
        lost = []
        for run in ended:
            if run.id in keep or run.id in self._cleared:
                continue
            self._cleared.add(run.id)
            if _clear(self._home / run.id):
                lost.append(run.id)
        return lost


def _clear(directory: Path) -> bool:
    removed = False
    if directory.is_symlink():
        return removed
    for path in list(_files(directory)):
        if (
            path.relative_to(directory).parts[0] not in _KEPT
            and is_checkpoint(path, directory)
            and not path.is_symlink()
        ):
            with suppress(OSError):
                path.unlink()
                removed = True
    for above, _, _ in os.walk(directory, topdown=False):
        if Path(above) != directory and _CHECKPOINT.fullmatch(Path(above).name):
            with suppress(OSError):  # it is not empty
                Path(above).rmdir()
    return removed


# --- files that several runs write


@dataclass(frozen=True)
class Written:
    """A checkpoint outside of the runs' directories, as it was when a run ended.

    Attributes:
        run: The run that wrote it.
        changed: The time of its last change, in nanoseconds.
    """

    run: str
    changed: int


class SharedFiles:
    """Notices checkpoints that a run writes outside of its own directory, and that a later run overwrites.

    It looks below the working directory, when it is made and after each of the first runs; not in hidden directories,
    nor for longer than some seconds. Safe from several threads.

    Args:
        place: The working directory of the runs.

    Attributes:
        found: The message about the first such file; empty before.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._looks = 0
        self._lock = threading.Lock()
        self.found = ""
        self._written = {path: Written("", changed) for path, changed in self._checkpoints()}

    def look(self, run: str, started: int) -> str:
        """Look for what a run that has just ended has written; return the message if it is the first of its kind.

        Args:
            run: Its id.
            started: When it began, in nanoseconds of the clock.
        """
        with self._lock:
            if self.found or self._looks >= _LOOKS:
                return ""
            self._looks += 1
            for path, changed in self._checkpoints():
                before = self._written.get(path)
                if changed < started - _TICK or (before is not None and before.changed == changed):
                    continue
                if before is not None and before.run != run and not self.found:
                    name = os.path.relpath(path, self._place)
                    who = f"runs {before.run} and {run} have both written {name}"
                    if not before.run:
                        who = f"run {run} has overwritten {name}, which was there before"
                    self.found = (
                        f"{who}; the best run's files are lost if runs overwrite each other's: write below run.dir in "
                        "the script, or give the directory in `command`, such as --output_dir=${run_dir}"
                    )
                self._written[path] = Written(run, changed)
            return self.found

    def resumed_from(self, started: int) -> str:
        """Return a directory in which earlier runs have left checkpoints, as a run may have resumed from them."""
        with self._lock:
            before = list(self._written.items())
        for path, written in before:
            for above in path.parents:
                if _CHECKPOINT.fullmatch(above.name) and written.changed < started:
                    return os.path.relpath(above.parent, self._place)
        return ""

    def _checkpoints(self) -> Iterator[tuple[Path, int]]:
        count, end = 0, time.monotonic() + _LONGEST_LOOK
        for above, directories, names in os.walk(self._place):
            directories[:] = [name for name in directories if not name.startswith(_NOT_LOOKED_AT)]
            count += len(names)
            if count > _MOST_FILES or time.monotonic() > end:
                self._looks = _LOOKS  # too much to look at after each run
                return
            for name in names:
                path = Path(above, name)
                if is_checkpoint(path, self._place):
                    with suppress(OSError):  # it may be gone by now
                        yield path, path.lstat().st_mtime_ns
