"""What users change of a sweep that exists: pause it, start runs again, give it another config.

Except for pausing and its like each is a trial that is no fresh run, so that the storage numbers it among the others
and every agent sees it at the same point of their sequence.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from lightsweep.controller.keys import ATTEMPT, CONFIG, STATE, SUMMARY, VALUES
from lightsweep.controller.reader import SweepReader, storage_errors
from lightsweep.controller.runs import RunEntry, values_of
from lightsweep.controller.states import wants_retry
from lightsweep.errors import NotFoundError, UsageError, closest
from lightsweep.schema import SweepConfig

__all__ = ["ask", "retry", "update"]

_ASKED = {"running": "resume", "paused": "pause"}

# What an update may change; of a grid the parameters' values too. Of the block ``lightsweep`` neither what proposals
# follow from nor the lease: an agent that is away would be judged by one that it has never heard of.
_CHANGEABLE = {"run_cap", "early_terminate", "name", "description", "lightsweep", "metric"}


_WITHOUT_RESULT = {"failed", "killed"}


def ask(sweep: SweepReader, wanted: str) -> None:
    """Note what the user wants of a sweep: ``running``, ``paused``, ``stopped`` or ``cancelled``.

    Raises:
        UsageError: A sweep that is over cannot do that.
    """
    state = sweep.look()
    if state.name == "cancelled" and wanted != "cancelled":
        raise UsageError(f"sweep {sweep.id} was cancelled, which is final; create a new one to go on")
    if state.name == "finished" and wanted in {"running", "paused"}:
        raise UsageError(f"sweep {sweep.id} cannot {_ASKED[wanted]}: it is finished, {state.reason}")
    with storage_errors():
        sweep.storage.optuna.set_study_user_attr(sweep.study_id, STATE, wanted)
    sweep.asked = wanted


def retry(sweep: SweepReader, runs: Iterable[str] = (), *, failed: bool = False) -> list[str]:
    """Let agents start runs again that failed, were killed or were lost too often; their ids.

    Args:
        sweep: The sweep.
        runs: Ids.
        failed: Every run that ended without a result, besides: that failed, was killed or was lost too often. Not one
            that waits to be started again anyway.

    Raises:
        NotFoundError: No such run.
        UsageError: A run that did not fail, or a sweep that was cancelled.
    """
    if sweep.look().name == "cancelled":
        raise UsageError(f"sweep {sweep.id} was cancelled, which is final; create a new one to go on")
    with sweep.lock:
        entries = dict(sweep.book.entries)
    chosen: dict[str, RunEntry] = {}
    for run in runs:
        entry = entries.get(run)
        if entry is None:
            raise NotFoundError(f"sweep {sweep.id} has no run {run!r}{closest(run, entries)}")
        if entry.state not in _WITHOUT_RESULT:
            raise UsageError(f"run {run} is {entry.state}; only failed and killed runs can be started again")
        chosen[run] = entry
    if failed:
        ended = {run: entry for run, entry in entries.items() if entry.state in _WITHOUT_RESULT}
        chosen.update({run: entry for run, entry in ended.items() if not wants_retry(entry, sweep.config)})
    for entry in chosen.values():
        _create(sweep, _asked_again(sweep, entry))
    sweep.refresh()
    return sorted(chosen)


def _asked_again(sweep: SweepReader, entry: RunEntry) -> FrozenTrial:
    """An attempt that was over before it began: from there on the run is one that was lost."""
    attempt = {"kind": "retry", "run": entry.id, "ticket": entry.ticket, "attempt": entry.attempt + 1, "asked": True}
    attributes: dict[str, Any] = {
        ATTEMPT: attempt,
        SUMMARY: {"state": "lost", "reason": "the user asked to start it again"},
    }
    if (values := values_of(entry, sweep.config)) is not None:
        attributes[VALUES] = values
    return create_trial(
        state=TrialState.FAIL,
        user_attrs=attributes,
        intermediate_values=dict(enumerate(entry.record.reports, start=1)),
    )


def update(sweep: SweepReader, config: SweepConfig) -> None:
    """Go on with another config: another cap, other bands, a target, more points of a grid.

    Runs that were handed out before keep their parameters. A changed grid goes on with the points that none of them
    had.

    Raises:
        UsageError: What cannot change while the sweep runs; the message names each such key.
    """
    if sweep.look().name == "cancelled":
        raise UsageError(f"sweep {sweep.id} was cancelled, which is final; create a new one to go on")
    before = sweep.config
    if before.stages or config.stages:
        whose = f"sweep {sweep.id} runs" if before.stages else "the new config describes a sweep that runs"
        raise UsageError(
            f"{whose} in stages, which nothing can be changed of, since each follows from those before; "
            "create a new sweep, with this one as its prior runs"
        )
    allowed = _CHANGEABLE | ({"parameters"} if before.method == config.method == "grid" else set())
    keys = sorted({*before.raw, *config.raw})
    changed = [key for key in keys if before.raw.get(key) != config.raw.get(key) and key not in allowed]
    if [metric.name for metric in before.metrics] != [metric.name for metric in config.metrics]:
        changed.append("metric.name")
    if [metric.goal for metric in before.metrics] != [metric.goal for metric in config.metrics]:
        changed.append("metric.goal")
    changed += [
        f"lightsweep.{name}"
        for name in ("seed", "sampler", "prior_runs", "lease")
        if getattr(before.options, name) != getattr(config.options, name)
    ]
    names = [[parameter.name for parameter in space.parameters] for space in (before.space, config.space)]
    if names[0] != names[1]:
        changed.append("the names of the parameters")
    if changed:
        raise UsageError(
            f"sweep {sweep.id} cannot change {', '.join(changed)} while it runs; change run_cap, early_terminate, "
            "metric.target or the values of a grid, or create a new sweep with this one as its prior runs"
        )
    attributes = {ATTEMPT: {"kind": "update"}, CONFIG: config.raw}
    _create(sweep, create_trial(state=TrialState.FAIL, user_attrs=attributes))
    sweep.refresh()


def _create(sweep: SweepReader, trial: FrozenTrial) -> None:
    with storage_errors():
        sweep.storage.optuna.create_new_trial(sweep.study_id, trial)
