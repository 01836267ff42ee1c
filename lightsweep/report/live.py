"""A page that follows its sweep: what has changed since a version of it, read once for all browsers.

The content of the page is kept as named pieces: a row for each run, each figure, and so on. A browser names the version
that it has, and gets the pieces that have changed since. The storage is read when a browser asks, at most every two
seconds, and never written; agents are not asked.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightsweep.analysis import Importance
from lightsweep.controller import RunState, Sweep
from lightsweep.errors import NotFoundError, StorageError, StorageUnavailableError
from lightsweep.report.data import ReportData, directories_of, sweep_data
from lightsweep.report.details import live_details
from lightsweep.report.logged import Known, logged_curves, run_parts, stamps_of
from lightsweep.report.media import run_media
from lightsweep.report.page import html_page, page_data

EVERY = 2.0
"""Seconds between two looks at the storage, at least."""

_MOST_KNOWN = 200  # histories in memory
_LONGEST = 30.0  # seconds between two looks at most, while a browser asks
_SELDOM = 60.0  # seconds between two computations of importance while runs are running
_REST = 10.0  # times as long as the last look worked, so that looking takes a tenth of a processor at most


class LivePage:
    """The page of a sweep, as of the last look. Safe from several threads.

    Args:
        sweep: The sweep, which may be read-only.
        home: The folder that has the runs' directories if a run names none; it need not exist.
        clock: Seconds that only go forward.
    """

    def __init__(self, sweep: Sweep, home: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._sweep = sweep
        self._home = home
        self._clock = clock
        self._lock = threading.Lock()
        self._due = self._read = clock()
        self._trouble = ""
        self._seen: dict[str, Any] = {}
        self._known: Known = {}
        self._data: ReportData | None = None
        self._ended: list[tuple[str, int, RunState]] = []
        self._importance: Importance | str = ""
        self._computed = 0.0
        self._content: dict[str, Any] = {}
        self._version = 0
        self._pieces: dict[str, tuple[int, str]] = {}  # the version of its last change, and its content in JSON
        self._look()
        self._due = clock() + EVERY  # whatever the first look took, which also imports libraries

    def html(self) -> str:
        """Return the page as of now."""
        with self._lock:
            self._look()
            return html_page({**self._content, "live": {"version": self._version}}, {})

    def news(self, since: int) -> str:
        """Return, in JSON, the pieces that have changed since this version of the page.

        The answer has ``version``, ``changed`` with the pieces by name (``row:0`` is a row, ``figure:history`` a
        figure), ``rows`` with their number, ``figures`` with all names in order, ``age`` with the seconds since the
        storage was last read, and ``trouble`` in words if it cannot be read now.
        """
        with self._lock:
            self._look()
            changed = [f"{json.dumps(name)}:{text}" for name, (at, text) in self._pieces.items() if at > since]
            head = {
                "version": self._version,
                "rows": len(self._content["rows"]),
                "figures": [figure["name"] for figure in self._content["figures"]],
                "age": round(self._clock() - self._read, 1),
                "trouble": self._trouble,
            }
            return f'{json.dumps(head)[:-1]}, "changed": {{{",".join(changed)}}}}}'

    def run(self, run_id: str) -> str:
        """Return, in JSON, what is known of a run, see `live_details`.

        Raises:
            NotFoundError: The sweep has no such run.
        """
        if self._lock.acquire(blocking=False):  # what there is will do while another thread looks
            try:
                self._look()
            finally:
                self._lock.release()
        data = self._data
        run = next((run for run in data.runs if run.id == run_id), None) if data else None
        if run is None or data is None:
            raise NotFoundError(f"sweep {self._sweep.id} has no run {run_id!r}")
        return json.dumps(live_details(self._sweep.id, run, data, self._home, self._known), allow_nan=False)

    def _look(self) -> None:
        """Read what has changed, if the last look is long enough ago; at the first failure raise, later note it."""
        begun, work = self._clock(), time.thread_time()
        if begun < self._due:
            return
        try:
            self._sweep.refresh()
            self._trouble, self._read = "", begun
        except (NotFoundError, StorageError, StorageUnavailableError) as error:
            if self._data is None:
                raise
            self._trouble = str(error)
        else:
            seen = self._signs()
            if seen != self._seen:
                self._seen = seen
                self._make()
        self._due = begun + min(_LONGEST, max(EVERY, _REST * (time.thread_time() - work)))

    def _signs(self) -> dict[str, Any]:
        """Return what differs whenever the page does."""
        sweep = self._sweep
        with sweep.lock:
            signs: dict[str, Any] = {"": (sweep.requested, sweep.plan.revision)}
            for entry in sweep.known_entries():
                record = entry.record
                signs[entry.id] = (entry.starts, record.state, len(record.reports), len(record.parameters))
            running = [sweep.view(entry) for entry in sweep.running()]
        for run in running:
            signs[run.id] += tuple(stamps_of(directories_of(run, self._home)))
        return signs

    def _make(self) -> None:
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        data = self._data = sweep_data(self._sweep)
        state = self._sweep.known_state()
        # Importance is most of the work, so it is computed anew only when runs have ended, and seldom meanwhile.
        ended = [(run.id, run.attempt, run.state) for run in data.runs if run.ended]
        recent = state.name == "running" and self._clock() < self._computed + _SELDOM
        if self._ended and (recent or ended == self._ended):
            vars(data)["importance"] = self._importance
        elif ended:
            self._ended, self._computed = ended, self._clock()
        content = self._content = {
            **page_data(self._sweep.id, state, data),
            "media": run_media(self._home, data),
            "logged": logged_curves(data, self._home, self._known),
            "parts": run_parts(data, self._home),
        }
        self._importance = data.importance
        pieces = {name: value for name, value in content.items() if name not in ("rows", "figures")}
        pieces |= {f"row:{place}": row for place, row in enumerate(content["rows"])}
        pieces |= {f"figure:{figure['name']}": figure for figure in content["figures"]}
        self._version += 1
        before, self._pieces = self._pieces, {}
        for name, value in pieces.items():
            text = json.dumps(value, allow_nan=False, separators=(",", ":"))
            at, known = before.get(name, (0, None))
            self._pieces[name] = (at, text) if known == text else (self._version, text)
