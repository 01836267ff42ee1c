"""What a live page gets: what has changed, read once for all browsers, and by SELECT only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from report_helpers import EVIL, LiveSweep

from lightsweep.controller.changes import request
from lightsweep.errors import NotFoundError
from lightsweep.report import LivePage

READING = {"BEGIN", "SELECT", "WITH", "ROLLBACK", "COMMIT"}  # the first words of statements that write nothing
NEVER = 10**9  # a version that no page has


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Live(LiveSweep):
    """A sweep with a worker, its page in another connection, and the statements of that connection."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.clock = Clock()
        self.statements: list[str] = []
        # Of the driver, since not all go through SQLAlchemy.
        sqlalchemy.event.listen(
            self.storage.engine, "checkout", lambda raw, *_: raw.set_trace_callback(self.statements.append)
        )
        self.page = LivePage(self.watched(), self.home, self.clock)
        self.version = self.news(NEVER)["version"]

    def news(self, since: int, after: float = 0.0) -> dict[str, Any]:
        self.clock.now += after
        found: dict[str, Any] = json.loads(self.page.news(since))
        return found

    def changed(self) -> dict[str, Any]:
        """What has changed since the last call, some time later."""
        found = self.news(self.version, after=60.0)
        self.version = found["version"]
        changed: dict[str, Any] = found["changed"]
        return changed


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    monkeypatch.setattr("lightsweep.report.live._REST", 0.0)  # the work of a look depends on the load of the machine
    made = Live(tmp_path)
    with made.worker:
        yield made
    made.close()


def test_a_browser_gets_what_has_changed_since_its_version(live: Live) -> None:
    assert live.changed() == {}
    first = live.worker.claim()
    live.worker.log(first, 0.5)
    changed = live.changed()
    assert changed["row:0"][:3] == ["0001", "running", 0.5]
    assert changed["headline"]["title"] == EVIL
    assert "templates" not in changed

    second = live.worker.claim()
    live.worker.log(second, 0.75)
    live.worker.log(first, 0.25)
    live.changed()
    live.worker.log(second, 0.7)
    changed = live.changed()
    assert changed["row:1"][:3] == ["0002", "running", 0.7]
    assert "figure:curves" in changed
    assert "columns" not in changed

    # Once ended, a run stays as it is, and its row is sent no more.
    live.worker.end(first)
    assert live.changed()["row:0"][1] == "finished"
    live.worker.log(second, 0.6)
    assert "row:0" not in live.changed()

    # A browser that comes later gets all of it.
    everything = live.news(0)
    assert {"row:0", "row:1", "figure:parallel", "templates"} <= everything["changed"].keys()
    assert everything["rows"] == 2
    assert everything["figures"][0] == "parallel"


def test_browsers_share_one_read_and_an_unchanged_sweep_costs_a_few_selects(live: Live) -> None:
    """Eight running runs are followed by five browsers, and the agents' tables are only read."""
    runs = [live.worker.claim() for _ in range(8)]
    for run in runs:
        live.worker.log(run, 1.0)
    live.changed()
    live.statements.clear()
    for _ in range(5):
        live.news(NEVER)
    assert live.statements == []  # within two seconds of the last look
    assert live.changed() == {}
    unchanged = list(live.statements)
    assert 0 < len(unchanged) <= 6

    for run in runs:
        live.worker.log(run, 0.5)
    live.statements.clear()
    assert {f"row:{place}" for place in range(8)} <= live.changed().keys()
    for _ in range(5):
        live.news(NEVER)
        live.page.run("0003")
    assert len(live.statements) <= 6
    assert {text.split()[0] for text in [*unchanged, *live.statements]} <= READING
    assert live.statements != []


def test_after_much_work_a_look_waits_but_not_for_ever(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightsweep.report.live._REST", 1e12)
    live.news(NEVER, after=60.0)
    live.statements.clear()
    live.news(NEVER, after=29.0)
    assert live.statements == []
    live.news(NEVER, after=2.0)
    assert live.statements != []


def test_importance_is_computed_anew_when_a_run_has_ended(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightsweep.report import data

    asked: list[int] = []
    computed = data.importance

    def counted(runs: Any, config: Any) -> Any:
        asked.append(len(runs))
        return computed(runs, config)

    monkeypatch.setattr(data, "importance", counted)
    first, second = live.worker.claim(), live.worker.claim()
    live.worker.log(first, 0.5)
    live.worker.end(first)
    live.changed()
    asked.clear()
    live.worker.log(second, 0.25)
    assert "row:1" in live.news(live.version, after=20.0)["changed"]
    live.worker.end(second)
    assert "figure:timeline" in live.news(live.version, after=20.0)["changed"]
    assert asked == []  # seldom while the sweep is running
    third = live.worker.claim()
    live.worker.log(third, 0.5)
    live.changed()
    assert asked == [3]

    # Of a sweep that runs no more it is that of all its runs.
    live.worker.end(third)
    request(live.sweep, "stop")
    live.version = live.news(live.version, after=5.0)["version"]
    assert asked == [3, 3]


def test_a_storage_that_does_not_answer_is_told_and_the_page_stays(live: Live) -> None:
    live.worker.log(live.worker.claim(), 0.5)
    live.changed()

    def refuse(*_: object) -> None:
        raise sqlalchemy.exc.OperationalError("", None, Exception("it is away"))

    sqlalchemy.event.listen(live.storage.engine, "checkout", refuse)
    found = live.news(0, after=60.0)
    assert "it is away" in found["trouble"]
    assert found["age"] == 60.0
    assert "row:0" in found["changed"]
    sqlalchemy.event.remove(live.storage.engine, "checkout", refuse)
    assert live.news(0, after=60.0)["trouble"] == ""


def test_a_running_run_shows_what_its_files_have_before_the_storage_has_it(live: Live) -> None:
    run = live.worker.claim()
    live.worker.log(run, 0.5)
    directory = live.home / run.id
    directory.mkdir(parents=True)
    (directory / "output.log").write_text("epoch 1\nepoch 2\n")
    (directory / "history.jsonl").write_text('{"train_loss": 2.0, "_step": 0}\n{"train_loss": 1.0, "_step": 1}\n')
    assert live.changed()["logged"]["names"][0]["name"] == "train_loss"
    found = json.loads(live.page.run("0001"))
    assert found["log"] == ["epoch 1", "epoch 2"]
    assert ["train_loss", 1.0, 1.0, 2.0] in found["metrics"]
    assert found["curves"] == {"val_loss, by iteration": [[1], [0.5]], "train_loss": [[0, 1], [2.0, 1.0]]}
    with (directory / "history.jsonl").open("a") as file:
        file.write('{"train_loss": 0.5, "_step": 2}\n')
    assert live.changed()["logged"]["runs"][0]["curves"] == [[0, [0, 1, 2], [2.0, 1.0, 0.5]]]


@pytest.mark.parametrize("name", ["0002", "..", "../../etc/passwd", "", "0001/../0001"])
def test_only_runs_of_the_sweep_are_shown(live: Live, name: str) -> None:
    live.worker.log(live.worker.claim(), 0.5)
    live.changed()
    with pytest.raises(NotFoundError, match="has no run"):
        live.page.run(name)
