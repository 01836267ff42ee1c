"""What users change of a sweep that exists: pause it, start runs again, give it another config or earlier runs.

Except for pausing and its like each is a trial that is no fresh run, so that the storage numbers it among the others
and every agent sees it at the same point of their sequence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from lightsweep.controller.access import translated
from lightsweep.controller.keys import ATTEMPT, CONFIG, STATE, SUMMARY, VALUES
from lightsweep.controller.runs import RunEntry, SweepRun
from lightsweep.controller.views import values_of
from lightsweep.errors import NotFoundError, UsageError, closest
from lightsweep.sampler import natural_params
from lightsweep.schema import SweepConfig
from lightsweep.storage import Storage

if TYPE_CHECKING:
    from lightsweep.controller.sweep import Sweep

__all__ = ["add_prior_runs", "ask", "check_prior_runs", "named_runs", "retry", "update"]

_ASKED = {"running": "resume", "paused": "pause"}

# What an update may change; of a grid the parameters' values too.
_CHANGEABLE = {"run_cap", "early_terminate", "name", "description", "lightsweep", "metric"}


def ask(sweep: Sweep, wanted: str) -> None:
    """Note what the user wants of a sweep: ``running``, ``paused``, ``stopped`` or ``cancelled``.

    Raises:
        UsageError: A sweep that is over cannot do that.
    """
    state = sweep.state
    if state.name == "cancelled" and wanted != "cancelled":
        raise UsageError(f"sweep {sweep.id} was cancelled, which is final; create a new one to go on")
    if state.name == "finished" and wanted in {"running", "paused"}:
        raise UsageError(f"sweep {sweep.id} cannot {_ASKED[wanted]}: it is finished, {state.reason}")
    with translated():
        sweep.storage.optuna.set_study_user_attr(sweep.study_id, STATE, wanted)
    sweep.asked = wanted


def retry(sweep: Sweep, runs: Iterable[str] = (), *, failed: bool = False) -> list[str]:
    """Let agents start runs again that failed, were killed or were lost too often; their ids.

    Args:
        sweep: The sweep.
        runs: Ids.
        failed: Every run that failed, besides.

    Raises:
        NotFoundError: No such run.
        UsageError: A run that did not fail, or a sweep that was cancelled.
    """
    if sweep.state.name == "cancelled":
        raise UsageError(f"sweep {sweep.id} was cancelled, which is final; create a new one to go on")
    with sweep.lock:
        entries = dict(sweep.book.entries)
    chosen: dict[str, RunEntry] = {}
    for run in runs:
        entry = entries.get(run)
        if entry is None:
            raise NotFoundError(f"sweep {sweep.id} has no run {run!r}{closest(run, entries)}")
        if entry.state not in {"failed", "killed"}:
            raise UsageError(f"run {run} is {entry.state}; only failed and killed runs can be started again")
        chosen[run] = entry
    if failed:
        chosen.update({run: entry for run, entry in entries.items() if entry.state == "failed"})
    for entry in chosen.values():
        _create(sweep, _asked_again(sweep, entry))
    sweep.refresh()
    return sorted(chosen)


def _asked_again(sweep: Sweep, entry: RunEntry) -> FrozenTrial:
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


def update(sweep: Sweep, config: SweepConfig) -> None:
    """Go on with another config: another cap, other bands, a target, more points of a grid.

    Runs that were handed out before keep their parameters. A changed grid goes on with the points that none of them
    had.

    Raises:
        UsageError: What cannot change while the sweep runs; the message names each such key.
    """
    if sweep.state.name == "cancelled":
        raise UsageError(f"sweep {sweep.id} was cancelled, which is final; create a new one to go on")
    before = sweep.config
    if before.stages or config.stages:
        whose = f"sweep {sweep.id} runs" if before.stages else "the new config describes a sweep that runs"
        raise UsageError(
            f"{whose} in stages, which nothing can be changed of, since each follows from those before; "
            "create a new sweep, with --prior-run to learn from the runs of this one"
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
        for name in ("seed", "sampler", "prior_runs")
        if getattr(before.options, name) != getattr(config.options, name)
    ]
    names = [[parameter.name for parameter in space.parameters] for space in (before.space, config.space)]
    if names[0] != names[1]:
        changed.append("the names of the parameters")
    if changed:
        raise UsageError(
            f"sweep {sweep.id} cannot change {', '.join(changed)} while it runs; change run_cap, early_terminate, "
            "metric.target or the values of a grid, or create a new sweep with --prior-run"
        )
    attributes = {ATTEMPT: {"kind": "update"}, CONFIG: config.raw}
    _create(sweep, create_trial(state=TrialState.FAIL, user_attrs=attributes))
    sweep.refresh()


def add_prior_runs(sweep: Sweep, runs: Sequence[tuple[str, SweepRun]]) -> tuple[int, int]:
    """Let bayes begin with what runs of other sweeps found; how many were taken, and how many could not be.

    A run is taken if it has a value of the metric and its values of the parameters that both sweeps search are among
    those of this sweep. A parameter that it did not have counts with the middle of its distribution. Prior runs count
    for no cap, no ticket and no band.

    Args:
        sweep: The sweep.
        runs: Pairs of the other sweep's id and a run of it.
    """
    space = sweep.config.space
    names = {parameter.name for parameter in space.searched}
    taken = 0
    for source, run in runs:
        values = {parameter.name: parameter.distribution.quantile(0.5) for parameter in space.parameters}
        values.update({name: value for name, value in run.values.items() if name in names})
        if run.best is None or not math.isfinite(run.best) or not _inside(sweep, values):
            continue
        taken += 1
        stored = natural_params(space, values)
        trial = create_trial(
            state=TrialState.COMPLETE,
            value=run.best,
            params={name: value for name, (_, value) in stored.items()},
            distributions={name: distribution for name, (distribution, _) in stored.items()},
            user_attrs={
                ATTEMPT: {"kind": "prior", "from": f"{source}/{run.id}"},
                SUMMARY: {"state": "finished", "reason": f"from {source}/{run.id}"},
            },
            intermediate_values={1: run.best},
        )
        _create(sweep, trial)
    sweep.refresh()
    return taken, len(runs) - taken


def named_runs(kind: type[Sweep], names: Sequence[str], storage: Storage) -> list[tuple[str, SweepRun]]:
    """The runs that ``names`` stand for, each ``SWEEP`` or ``SWEEP/RUN``, with the ids of their sweeps.

    Raises:
        NotFoundError: No such sweep or run.
    """
    found: list[tuple[str, SweepRun]] = []
    for name in names:
        other, _, run = name.partition("/")
        runs = {each.id: each for each in kind.load(other, storage=storage).runs}
        if run and run not in runs:
            raise NotFoundError(f"sweep {other} has no run {run!r}{closest(run, runs)}")
        found += [(other, each) for each in ([runs[run]] if run else runs.values())]
    return found


def check_prior_runs(config: SweepConfig, runs: Sequence[tuple[str, SweepRun]]) -> None:
    """See that prior runs can mean something to a sweep.

    Raises:
        UsageError: It has several metrics or none, or no run has a parameter in common with it.
    """
    if not runs:
        return
    if len(config.metrics) != 1:
        raise UsageError("prior runs need a sweep with one metric, as their best value of it is what counts")
    names = {parameter.name for parameter in config.space.searched}
    if not any(names & set(run.values) for _, run in runs):
        raise UsageError(
            f"the prior runs have no parameter in common with the sweep, which searches {', '.join(sorted(names))}"
        )


def _inside(sweep: Sweep, values: dict[str, Any]) -> bool:
    try:
        sweep.config.space.unit(values)
    except (ValueError, TypeError):
        return False
    return True


def _create(sweep: Sweep, trial: FrozenTrial) -> None:
    with translated():
        sweep.storage.optuna.create_new_trial(sweep.study_id, trial)
