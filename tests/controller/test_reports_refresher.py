"""Training steps share one read of the storage, and do not wait for one that hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lightsweep.controller.reports import Refresher
from lightsweep.errors import NotFoundError, StorageUnavailableError


class FakeSweep:
    """A sweep whose storage answers on request."""

    def __init__(self) -> None:
        self.reads = 0
        self.reading = threading.Event()
        self.answers = threading.Event()
        self.answers.set()
        self.error: Exception | None = None

    def refresh(self) -> None:
        self.reads += 1
        self.reading.set()
        assert self.answers.wait(30)
        if self.error is not None:
            raise self.error


@pytest.fixture
def sweep() -> FakeSweep:
    return FakeSweep()


@pytest.fixture
def made(sweep: FakeSweep) -> Iterator[Refresher]:
    found = Refresher(sweep, patience=0.5)
    yield found
    sweep.answers.set()
    found.close()


def test_each_asks_for_what_is_there_now(sweep: FakeSweep, made: Refresher) -> None:
    assert made.refresh()
    assert made.refresh()
    assert sweep.reads == 2


def test_those_who_ask_meanwhile_share_the_next_read(sweep: FakeSweep, made: Refresher) -> None:
    sweep.answers.clear()
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(made.refresh())) for _ in range(6)]
    threads[0].start()
    assert sweep.reading.wait(30)
    for thread in threads[1:]:
        thread.start()
    time.sleep(0.1)  # until they wait
    sweep.answers.set()
    for thread in threads:
        thread.join(30)
    assert answers == [True] * 6
    assert sweep.reads <= 3


def test_a_storage_that_hangs_is_waited_for_once(sweep: FakeSweep, made: Refresher) -> None:
    sweep.answers.clear()
    began = time.monotonic()
    assert not made.refresh()
    assert time.monotonic() - began >= 0.5
    began = time.monotonic()
    for _ in range(100):
        assert not made.refresh()
    assert time.monotonic() - began < 10
    sweep.answers.set()
    deadline = time.monotonic() + 30
    while not made.refresh():
        assert time.monotonic() < deadline
    assert sweep.reads < 10


def test_closing_wakes_those_who_wait(sweep: FakeSweep) -> None:
    sweep.answers.clear()
    made = Refresher(sweep, patience=60)
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(made.refresh()))
    thread.start()
    assert sweep.reading.wait(30)
    made.close()
    thread.join(30)
    assert answers == [False]
    sweep.answers.set()


def test_a_storage_that_refuses(sweep: FakeSweep, made: Refresher) -> None:
    sweep.error = StorageUnavailableError("gone")
    assert not made.refresh()
    sweep.error = NotFoundError("deleted")
    with pytest.raises(NotFoundError, match="deleted"):
        made.refresh()
    sweep.error = None
    assert made.refresh()
