"""The history of a run: what is written, when, how much, and how it is read again."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import multiprocessing
import os
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

import lightsweep
from lightsweep.client import history, serving
from lightsweep.client.history import FILE, History, begin_attempt, last_step, read_history
from lightsweep.client.numbers import numbers
from scripted import ScriptedHandler

HOME = Path("run-0007")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run's directory, as an agent makes it."""
    monkeypatch.chdir(tmp_path)
    HOME.mkdir()
    return HOME.absolute()


def plain(directory: Path = HOME) -> list[dict[str, Any]]:
    """The steps without their times."""
    return [{name: step[name] for name in step if name != "_timestamp"} for step in read_history([directory])]


def test_every_number_of_every_step_is_kept() -> None:
    with serving(ScriptedHandler()):
        run = lightsweep.init()
        for epoch in (0, 1, math.inf):
            run.log({"val_loss": epoch / 10, "train": {"loss": epoch}, "text": "x", "flag": True})
        run.log({"val_loss": math.nan})
    *steps, last = plain()
    assert steps == [
        {"_step": step, "val_loss": epoch / 10, "train.loss": epoch} for step, epoch in enumerate((0, 1, math.inf))
    ]
    assert math.isnan(last["val_loss"])
    assert all(step["_timestamp"] > 1.6e9 for step in read_history([HOME]))


def test_a_step_is_one_line_however_often_it_is_logged() -> None:
    """As with W&B: a step is complete with ``commit``, or with the first log of another one."""
    with serving(ScriptedHandler()):
        run = lightsweep.init()
        run.log({"a": 1}, commit=False)
        run.log({"b": 2})
        run.log({"a": 3}, step=5)
        run.log({"a": 4, "val_loss": 0.5}, step=5)
        run.log({"a": 5}, step=7)
        run.log({"a": 6}, step=6)  # W&B leaves a lower step out; here it is of the current one
        run.log({"c": 7})
        run.log({"c": 8})
    assert plain() == [
        {"_step": 0, "a": 1, "b": 2},
        {"_step": 5, "a": 4, "val_loss": 0.5},
        {"_step": 7, "a": 6, "c": 7},
        {"_step": 8, "c": 8},
    ]


def test_what_waits_is_written_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = History(HOME / FILE)
    kept.log(0, numbers({"a": 0}), complete=True)
    kept.log(1, numbers({"a": 1}), complete=True)
    assert len(plain()) == 1
    monkeypatch.setattr(history, "_SECONDS", 0.0)
    kept.log(2, numbers({"a": 2}), complete=True)
    assert len(plain()) == 3
    kept.end()


@pytest.mark.parametrize("how", ["finish", "pruned", "raise ValueError('x')"])
def test_the_end_of_a_run_writes_what_waits(script: Any, tmp_path: Path, how: str) -> None:
    """Whichever it is; a pruned run even if its process then ends at once."""
    code = f"""
    import os, lightsweep
    run = lightsweep.init()
    for step in range(20):
        try:
            run.log({{"val_loss": step}})
        except lightsweep.RunPruned:
            os._exit(0)
    if {how!r}.startswith("raise"):
        {how if how.startswith("raise") else "pass"}
    """
    handler = ScriptedHandler(stop_at=20 if how == "pruned" else None, dir=str(HOME.absolute()))
    script(handler, textwrap.dedent(code))
    assert [step["val_loss"] for step in plain()] == list(range(20))


def test_a_plain_run_keeps_none_unless_it_has_a_directory() -> None:
    with lightsweep.init() as run:
        run.log({"a": 1})
    assert not Path("lightsweep_runs").exists()
    with lightsweep.init() as run:
        directory = Path(run.dir)
        run.log({"a": 1})
    assert plain(directory) == [{"_step": 0, "a": 1}]


def test_ranks_above_0_keep_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with serving(ScriptedHandler()):
        lightsweep.init().log({"a": 1})
    assert list(HOME.iterdir()) == []


# --- retries


def test_a_retry_that_starts_over_repeats_steps_and_continues_after_them() -> None:
    with serving(ScriptedHandler()):
        run = lightsweep.init()
        for epoch in range(3):
            run.log({"val_loss": epoch, "of": 1})
    with serving(ScriptedHandler(resumed=True, counted=3, iterations=3)):
        run = lightsweep.init()
        for epoch in range(5):
            run.log({"val_loss": epoch, "of": 2})
    assert [step["_step"] for step in plain()] == [0, 1, 2, 3, 4]
    assert [step["of"] for step in plain()] == [1, 1, 1, 2, 2]  # as the storage, which keeps the first values


def test_a_retry_that_resumes_counts_on_and_repeats_no_step_of_its_own() -> None:
    with serving(ScriptedHandler()):
        run = lightsweep.init()
        for step in (10, 20, 30):
            run.log({"a": step, "of": 1}, step=step)
    with serving(ScriptedHandler(resumed=True, checkpoint="somewhere")):
        run = lightsweep.init()
        assert run.checkpoint
        for step in (20, 30, 40):
            run.log({"a": step, "of": 2}, step=step)
        assert run.step == 40
    assert [(step["_step"], step["of"]) for step in plain()] == [(10, 1), (20, 1), (30, 1), (40, 2)]


def test_lines_that_are_cut_off_or_strange_are_left_out() -> None:
    lines = ['{"a": 1, "_step": 0}', "[]", "3", '{"_step": "x"}', '{"_step": true}', '{"a": 2, "_st', "\xff", ""]
    (HOME / FILE).write_text("\n".join([*lines, '{"a": "text", "b": true, "c": 2, "_step": 4}', '{"a": ']))
    assert plain() == [{"_step": 0, "a": 1}, {"_step": 4, "c": 2}]
    assert last_step(HOME) == 4
    assert last_step(Path("gone")) == -1
    begin_attempt(Path("gone"))
    assert not Path("gone").exists()


# --- processes


def test_what_a_forked_child_logs_follows_after_its_parent() -> None:
    """Each process counts from where it is; none writes what waits in the other."""
    kept = History(HOME / FILE)
    for step in range(3):
        kept.log(step, numbers({"parent": step}), complete=True)

    def child() -> None:
        for step in range(2, 5):
            kept.log(step, numbers({"child": step}), complete=True)

    worker = multiprocessing.get_context("fork").Process(target=child)
    worker.start()
    worker.join()
    assert worker.exitcode == 0
    kept.end()
    found = plain()
    assert sorted(step["parent"] for step in found if "parent" in step) == [0, 1, 2]
    assert sorted(step["child"] for step in found if "child" in step) == [2, 3, 4]
    assert len(found) == 6


# --- size


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_WHOLE_BYTES", 20_000)
    monkeypatch.setattr(history, "_FURTHER_BYTES", 2_000)
    monkeypatch.setattr(history, "_MOST_BYTES", 60_000)


@pytest.mark.usefixtures("small")
def test_of_very_many_steps_the_frequent_ones_are_thinned_out(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(ScriptedHandler()):
        run = lightsweep.init()
        for step in range(10_000):
            run.log({"loss": step / 7})
            if step % 1000 == 999:
                run.log({"val_loss": step / 9})
    found = plain()
    assert (HOME / FILE).stat().st_size < 60_000
    assert len([step for step in found if "val_loss" in step]) == 10
    train = [step["_step"] for step in found if "loss" in step]
    assert train[:200] == list(range(200))
    assert train[-1] == 10_008  # the last one is there
    gaps = [two - one for one, two in itertools.pairwise(train)]
    assert max(gaps[:-1]) <= 2**12
    said = capsys.readouterr().err
    assert said.count("lightsweep: history.jsonl keeps") == 1
    assert "of 10,010 steps" in said
    summary = json.loads((HOME / "summary.json").read_text())
    assert summary["_history"].startswith("history.jsonl keeps")


def test_a_script_that_closes_its_descriptors_finds_no_lines_in_its_own_files() -> None:
    kept = History(HOME / FILE)
    kept.log(0, numbers({"a": 0}), complete=True)
    os.close(kept._file)
    mine = os.open("mine", os.O_CREAT | os.O_RDWR)
    assert mine == kept._file
    kept.log(1, numbers({"a": 1}), complete=True)
    kept.end()
    assert os.fstat(mine).st_size == 0
    os.close(mine)
    assert len(plain()) == 2


def test_a_directory_that_cannot_be_written_to_costs_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    (HOME / FILE).mkdir()
    with serving(ScriptedHandler()):
        run = lightsweep.init()
        for step in range(3000):
            run.log({"val_loss": step})
    assert capsys.readouterr().err.count("is not continued: Is a directory") == 1


@pytest.mark.parametrize("leaves", [False, True])
def test_the_handler_of_a_signal_may_log_and_finish_during_a_write(
    monkeypatch: pytest.MonkeyPatch, leaves: bool
) -> None:
    """It runs in the thread that writes, so a lock of one owner would never be free again."""
    file = History(HOME / FILE)
    write = os.write
    arrived: list[int] = []

    def interrupted(descriptor: int, content: Any) -> int:
        written = write(descriptor, content)
        if not arrived:
            arrived.append(written)
            file.log(1, numbers({"a": 1}), complete=True)
            file.end()
            if leaves:
                raise SystemExit(143)
        return written

    monkeypatch.setattr(os, "write", interrupted)

    def train() -> None:
        with contextlib.suppress(SystemExit):
            file.log(0, numbers({"a": 0}), complete=True)

    thread = threading.Thread(target=train, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert plain() == [{"_step": 0, "a": 0}, {"_step": 1, "a": 1}]
    assert file._file == -1
