"""Refresh the sweep in the background with a timeout, so that a slow database never blocks training."""

from __future__ import annotations

import threading
import time

from lightsweep.controller.sweeps import Sweep
from lightsweep.errors import StorageUnavailableError

PATIENCE_SECONDS = 2.0


class Refresher:
    """Refreshes a sweep in a background thread; simultaneous requests share one read.

    If the database hangs or its host has vanished, no request waits longer than ``patience`` seconds from the moment at
    which it stopped answering.

    Args:
        sweep: The sweep.
        patience: Longest wait, in seconds.

    Attributes:
        reason: Why the last refresh failed.
    """

    def __init__(self, sweep: Sweep, patience: float = PATIENCE_SECONDS) -> None:
        self._sweep = sweep
        self._patience = patience
        self._changed = threading.Condition()
        self._asked = 0
        self._read = 0
        self._began = 0.0
        self._error: BaseException | None = None
        self._closed = False
        self._thread: threading.Thread | None = None
        self.reason = ""

    def refresh(self) -> bool:
        """Read what changed until now; return false if the database refused or did not answer in time.

        Raise any other exception of the read, such as ``NotFoundError`` if the sweep was deleted.
        """
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="lightsweep-refresher", daemon=True)
                self._thread.start()
            if self._asked == self._read:
                self._began = time.monotonic()
            self._asked += 1
            mine = self._asked
            self._changed.notify_all()
            left = self._began + self._patience - time.monotonic()
            self._changed.wait_for(lambda: self._closed or self._read >= mine, max(0.0, left))
            in_time = self._read >= mine
            error = self._error
            self.reason = str(error) if in_time and error is not None else "the storage does not answer"
        if in_time and error is not None and not isinstance(error, StorageUnavailableError):
            raise error
        return in_time and error is None

    def close(self) -> None:
        """End the thread; it may still wait for the database for a while."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._asked > self._read)
                if self._closed:
                    return
                upto = self._asked
            error: BaseException | None = None
            try:
                self._sweep.refresh()
            except BaseException as raised:  # refresh() raises it
                error = raised
            with self._changed:
                self._error = error
                self._read = upto
                self._began = time.monotonic()
                self._changed.notify_all()
