"""Reports are written behind: the training loop goes on while they are committed."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from optuna.exceptions import UpdateFinishedTrialError

from lightsweep.controller.access import translated
from lightsweep.controller.live import LiveRun
from lightsweep.errors import NotFoundError, StorageUnavailableError
from lightsweep.storage import Storage

__all__ = ["Writer"]

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_LOOK_SECONDS = 0.5


@dataclass(eq=False)
class _Flush:
    """A mark in the queue: when the writer reaches it, all that was handed over before is settled."""

    reached: threading.Event = field(default_factory=threading.Event)
    complete: bool = False


class Writer:
    """Delivers reports to the storage in order, from a thread of its own.

    While the database is away the reports wait here and are tried again, in order.

    Args:
        storage: Where they go.
        on_outage: Called with True when the database stops to answer, with False when it is back.
    """

    def __init__(self, storage: Storage, on_outage: Callable[[bool], None] = lambda _: None) -> None:
        self._storage = storage
        self._on_outage = on_outage
        self._queue: queue.SimpleQueue[tuple[LiveRun, int, float] | _Flush | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._dropped = False
        self._thread = threading.Thread(target=self._work, name="lightsweep-writer", daemon=True)
        self._thread.start()

    def put(self, run: LiveRun, step: int, value: float) -> None:
        """Hand over one report; returns at once."""
        self._queue.put((run, step, value))

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was handed over before is in the storage.

        False after ``timeout`` seconds, and where :meth:`close` dropped something.
        """
        mark = _Flush()
        self._queue.put(mark)
        end = None if timeout is None else time.monotonic() + timeout
        while not mark.reached.wait(
            _LOOK_SECONDS if end is None else max(0.0, min(_LOOK_SECONDS, end - time.monotonic()))
        ):
            if not self._thread.is_alive() or (end is not None and time.monotonic() >= end):
                return False
        return mark.complete

    def close(self) -> None:
        """End the thread; after the first report that the database does not take at once the rest is dropped."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, _Flush):
                item.complete = not self._dropped
                item.reached.set()
            elif not self._dropped:
                self._deliver(*item)

    def _deliver(self, run: LiveRun, step: int, value: float) -> None:
        pause = _FIRST_PAUSE
        away = False
        while not run.taken:
            try:
                with translated():
                    self._storage.optuna.set_trial_intermediate_value(run.trial_id, step, value)
            except (UpdateFinishedTrialError, NotFoundError):
                run.taken = True
            except StorageUnavailableError:
                if not away:
                    away = True
                    self._on_outage(True)
                if self._closing.wait(pause):
                    self._dropped = True
                    return
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            break
        if away:
            self._on_outage(False)
