"""A sweep that cannot be read, or that another program wrote to: other sweeps are shown, without a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from optuna.trial import TrialState, create_trial
from sandboxes import Sandbox

import lightsweep
from lightsweep.cli import main
from lightsweep.controller import Sweep
from lightsweep.controller.runs import ATTEMPT, CONFIG, STATE, SWEEP
from lightsweep.storage import Storage

Capture = pytest.CaptureFixture[str]
RAW = {"method": "grid", "metric": {"name": "loss"}, "parameters": {"x": {"values": [1, 2]}}}
KEPT = {"format": 1, "config": RAW, "seed": 1, "created": "2026-01-01T00:00:00+00:00", "source": None}


@pytest.fixture
def sweeps(sandbox: Sandbox) -> Iterator[tuple[Sweep, Sweep]]:
    """A sweep to be spoilt, and another one."""
    first = Sweep.create(RAW, storage=sandbox.storage)
    second = Sweep.create({**RAW, "name": "the other"}, storage=first.storage)
    yield first, second
    first.storage.close()


def shown(capsys: Capture, caplog: pytest.LogCaptureFixture, *arguments: str) -> tuple[int, str, list[str]]:
    """Exit code, stdout, and the lines of the log and of stderr."""
    capsys.readouterr()
    caplog.clear()
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, [*(record.getMessage() for record in caplog.records), *err.splitlines()]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (SWEEP, [], f"cannot be read: its attribute {SWEEP} was written by another program"),
        (SWEEP, "text", f"cannot be read: its attribute {SWEEP} was written by another program"),
        (SWEEP, {}, f"cannot be read: its attribute {SWEEP} was written by another program"),
        (SWEEP, {**KEPT, "config": [1]}, f"cannot be read: its attribute {SWEEP} was written by another program"),
        (SWEEP, {**KEPT, "created": "later"}, f"cannot be read: its attribute {SWEEP} was written by another program"),
        (SWEEP, {**KEPT, "format": 99}, "was made by a newer lightsweep (format 99, this one knows 1); update with"),
        (SWEEP, {**KEPT, "config": {"method": "guess"}}, "this lightsweep does not accept its config any more (meth"),
        (STATE, ["running"], f"cannot be read: its attribute {STATE} is ['running'], none of running, paused, stopped"),
    ],
)
def test_a_sweep_that_cannot_be_read_hides_no_other(
    sweeps: tuple[Sweep, Sweep], capsys: Capture, caplog: pytest.LogCaptureFixture, key: str, value: Any, message: str
) -> None:
    odd, other = sweeps
    odd.storage.optuna.set_study_user_attr(odd.study_id, key, value)
    code, out, lines = shown(capsys, caplog, "ls")
    assert (code, len(lines)) == (0, 1)
    assert lines[0].startswith(f"sweep {odd.id} ")
    assert message in lines[0]
    assert lines[0].endswith("; it is left out")
    assert other.id in out
    assert odd.id not in out
    for command in ("status", "export", "agent"):
        code, out, lines = shown(capsys, caplog, command, odd.id)
        assert (code, out, len(lines)) == (2, "", 1)
        assert lines[0].startswith(f"error: sweep {odd.id} ")
        assert message in lines[0]
    assert shown(capsys, caplog, "status", other.id)[0] == 0


@pytest.mark.parametrize(
    "attempt",
    [{}, [1], "fresh", {"kind": "retry"}, {"kind": "retry", "run": 3, "attempt": 2}, {"kind": "fresh", "stage": "a"}],
    ids=str,
)
def test_a_trial_of_another_program_counts_for_nothing(
    sweeps: tuple[Sweep, Sweep], capsys: Capture, caplog: pytest.LogCaptureFixture, attempt: Any
) -> None:
    odd, other = sweeps
    add(odd.storage, odd, {ATTEMPT: attempt})

    def train() -> None:
        with lightsweep.init() as run:
            if run.config.x == 1:
                add(odd.storage, odd, {ATTEMPT: attempt})  # between an agent's look and its claim
            run.log({"loss": run.config.x})

    lightsweep.agent(odd, function=train)
    assert [(run.id, run.state, run.values) for run in odd.runs] == [
        ("0001", "finished", {"x": 1}),
        ("0002", "finished", {"x": 2}),
    ]
    for command, rows in (("ls", [odd.id, other.id]), ("status", ["0001", "0002"]), ("export", ["0001", "0002"])):
        code, out, lines = shown(capsys, caplog, command, *([] if command == "ls" else [odd.id]))
        assert code == 0
        assert all(row in out for row in rows)
        assert len(lines) == 2
        assert lines[0] == (
            f"sweep {odd.id}: trial 0 counts for nothing, since its attribute {ATTEMPT} "
            f"was written by another program: {attempt!r}"
        )


def test_an_update_to_a_config_that_is_none(
    sweeps: tuple[Sweep, Sweep], capsys: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    odd, other = sweeps
    add(odd.storage, odd, {ATTEMPT: {"kind": "update"}, CONFIG: {"method": "guess"}})
    code, out, lines = shown(capsys, caplog, "ls")
    assert (code, len(lines)) == (0, 1)
    assert other.id in out
    assert f"sweep {odd.id} cannot be read: this lightsweep does not accept its config any more (method" in lines[0]
    assert shown(capsys, caplog, "status", odd.id)[0] == 2


def test_finding_one_sweep_reads_one_study(sweeps: tuple[Sweep, Sweep], monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = sweeps
    studies, asked = found.storage.studies, []
    monkeypatch.setattr(found.storage, "studies", lambda name=None: asked.append(name) or studies(name))
    assert Sweep.load(found.id, storage=found.storage).config.raw == RAW
    assert asked == [found.id]


def add(storage: Storage, sweep: Sweep, attributes: dict[str, Any]) -> None:
    storage.optuna.create_new_trial(sweep.study_id, create_trial(state=TrialState.FAIL, user_attrs=attributes))
