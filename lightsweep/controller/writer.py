"""Write reports in the background, so that training does not wait for commits."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lightsweep.controller.outcome import ClaimedRun
from lightsweep.controller.reader import storage_errors
from lightsweep.errors import StorageUnavailableError
from lightsweep.storage import Storage, trials_of

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_LOOK_SECONDS = 0.5
_GATHER_SECONDS = 0.02
_BATCH = 500
_CLOSE_SECONDS = 10.0  # for a database that hangs

_Report = tuple[ClaimedRun, int, float]


@dataclass(eq=False)
class _Mark:
    """A place in the queue: when the writer reaches it, all earlier reports are stored or dropped."""

    last: bool = False
    reached: threading.Event = field(default_factory=threading.Event)
    complete: bool = False


class Writer:
    """Delivers reports to the storage in order, in a background thread; waiting reports share one transaction.

    While the database does not answer, the reports wait in the queue and are retried in order.

    Args:
        storage: The storage.
        on_outage: Called with the reason when a write fails, and with an empty text when writes succeed again.
        on_failure: Called with the exception that ended the thread; later reports are not delivered.
    """

    def __init__(
        self,
        storage: Storage,
        on_outage: Callable[[str], None] = lambda _: None,
        on_failure: Callable[[BaseException], None] = lambda _: None,
    ) -> None:
        self._trials = trials_of(storage)
        self._on_outage = on_outage
        self._on_failure = on_failure
        self._failure: BaseException | None = None
        self._queue: queue.SimpleQueue[_Report | _Mark] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._dropped = False
        self._thread = threading.Thread(target=self._work, name="lightsweep-writer", daemon=True)
        self._thread.start()

    def put(self, run: ClaimedRun, step: int, value: float) -> None:
        """Queue one report; return at once."""
        self._queue.put((run, step, value))

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all queued reports are in the storage.

        Return false after ``timeout`` seconds, or if :meth:`close` dropped reports. Raise the exception that ended the
        thread, if any.
        """
        mark = _Mark()
        self._queue.put(mark)
        end = math.inf if timeout is None else time.monotonic() + timeout
        while not mark.reached.wait(max(0.0, min(_LOOK_SECONDS, end - time.monotonic()))):
            if not self._thread.is_alive() or time.monotonic() >= end:
                break
        if self._failure is not None:
            raise self._failure
        return mark.complete

    def close(self) -> None:
        """End the thread; if a write fails, the rest of the reports is dropped."""
        self._closing.set()
        self._queue.put(_Mark(last=True))
        self._thread.join(_CLOSE_SECONDS)

    def _work(self) -> None:
        try:
            self._deliver_all()
        except BaseException as error:  # flush() raises it
            self._failure = error
            self._on_failure(error)

    def _deliver_all(self) -> None:
        mark = None
        while mark is None or not mark.last:
            batch, mark = self._gathered()
            if batch and not self._dropped:
                self._deliver(batch)
            if mark is not None:
                mark.complete = not self._dropped
                mark.reached.set()

    def _gathered(self) -> tuple[list[_Report], _Mark | None]:
        """Wait for reports; return all that arrive in quick succession, and the mark after them if there is one."""
        batch: list[_Report] = []
        item = self._queue.get()
        end = time.monotonic() + _GATHER_SECONDS
        while not isinstance(item, _Mark):
            batch.append(item)
            if len(batch) == _BATCH:
                return batch, None
            try:
                item = self._queue.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return batch, None
        return batch, item

    def _deliver(self, batch: Sequence[_Report]) -> None:
        pause = _FIRST_PAUSE
        away = False
        while reports := [(run.trial_id, step, value) for run, step, value in batch if not run.taken]:
            try:
                with storage_errors():
                    over = self._trials.report(reports)
            except StorageUnavailableError as error:
                if not away:
                    away = True
                    self._on_outage(str(error))
                if self._closing.wait(pause):
                    self._dropped = True
                    return
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            for run, _, _ in batch:
                run.taken = run.taken or run.trial_id in over
            break
        if away:
            self._on_outage("")
