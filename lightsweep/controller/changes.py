"""Change a sweep that exists: pause it, retry runs, update its config, add prior runs.

The state is an attribute of the study. Every other change is a trial, so that the storage numbers it among the others
and every agent sees it at the same point of the sequence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from lightsweep.controller.observations import learns
from lightsweep.controller.plan import REQUESTS, SweepState, SweepStatus, check_update
from lightsweep.controller.ranking import best_of
from lightsweep.controller.reader import SweepReader, storage_errors
from lightsweep.controller.runs import (
    ATTEMPT,
    CONFIG,
    STATE,
    SUMMARY,
    VALUES,
    RunEntry,
    SweepRun,
    plain_metrics,
    values_of,
    wants_retry,
)
from lightsweep.errors import NotFoundError, UsageError, closest
from lightsweep.sampler import RunState
from lightsweep.sampler.optuna_params import params_to_optuna
from lightsweep.schema import Metric, SweepConfig

_WITHOUT_RESULT = {RunState.FAILED, RunState.KILLED}


def request(sweep: SweepReader, action: str) -> None:
    """Request a state of the sweep; agents follow at their next look.

    Args:
        sweep: The sweep.
        action: ``pause``, ``resume``, ``stop`` or ``cancel``.

    Raises:
        UsageError: The sweep was cancelled or is finished; it stays as it is.
    """
    state = sweep.state
    if action != "cancel":
        _check_not_cancelled(sweep.id, state)
    # A target finishes a sweep while runs are running; those can be cancelled.
    if state.name == SweepStatus.FINISHED and not (action == "cancel" and sweep.running()):
        raise UsageError(f"nothing to {action}: sweep {sweep.id} is finished already ({state.reason})")
    with storage_errors():
        sweep.storage.optuna.set_study_user_attr(sweep.study_id, STATE, REQUESTS[action])
    sweep.requested = REQUESTS[action]


def _check_not_cancelled(sweep_id: str, state: SweepState) -> None:
    if state.name == SweepStatus.CANCELLED:
        raise UsageError(f"sweep {sweep_id} was cancelled, which is final; create a new sweep")


def retry_runs(sweep: SweepReader, *runs: str, failed: bool = False) -> list[str]:
    """Let agents retry runs that failed, were killed or were lost too often; return their ids.

    Args:
        sweep: The sweep.
        runs: Ids: ``RUN``, ``SWEEP-RUN`` or ``SWEEP/RUN``.
        failed: Retry also every other run that ended without a result, except those that wait for a retry anyway.

    Raises:
        NotFoundError: No such run.
        UsageError: A run has not failed, or the sweep was cancelled.
    """
    _check_not_cancelled(sweep.id, sweep.state)
    with sweep.lock:
        entries = dict(sweep.book.entries)
    chosen: dict[str, RunEntry] = {}
    for name in runs:
        of, run = sweep_and_run(name, sweep.id)
        entry = entries.get(run) if of == sweep.id else None
        if entry is None:
            raise NotFoundError(f"sweep {sweep.id} has no run {name!r}{closest(run, entries)}")
        if entry.state not in _WITHOUT_RESULT:
            raise UsageError(f"run {run} is {entry.state}; only failed and killed runs can be retried")
        chosen[run] = entry
    if failed:
        ended = {run: entry for run, entry in entries.items() if entry.state in _WITHOUT_RESULT}
        chosen.update({run: entry for run, entry in ended.items() if not wants_retry(entry, sweep.config)})
    for entry in chosen.values():
        _create(sweep, _asked_again(sweep, entry))
    sweep.refresh()
    return sorted(chosen)


def _asked_again(sweep: SweepReader, entry: RunEntry) -> FrozenTrial:
    """Return a trial for an attempt that has ended already; after it the run counts as lost, so agents retry it."""
    attempt = {"kind": "retry", "run": entry.id, "ticket": entry.ticket, "attempt": entry.attempt + 1, "asked": True}
    attempt |= entry.repeat.document() if entry.repeat else {}
    attributes: dict[str, Any] = {
        ATTEMPT: attempt,
        SUMMARY: {"state": RunState.LOST, "reason": "the user requested a retry"},
    }
    sweep.complete([entry])
    if (values := values_of(entry, sweep.config)) is not None:
        attributes[VALUES] = values
    return create_trial(
        state=TrialState.FAIL,
        user_attrs=attributes,
        intermediate_values=dict(enumerate(entry.reports, start=1)),
    )


def update_config(sweep: SweepReader, config: SweepConfig | str | Path | Mapping[str, Any]) -> None:
    """Continue with another config: cap, rule of stopping, constraints, end, target, or more points of a grid.

    Runs that were claimed before keep their parameters. A changed grid continues with the points that they did not
    have.

    Raises:
        ConfigError: The config is wrong.
        UsageError: The config changes a key that cannot change; the message names each.
    """
    config = SweepConfig.load(config)
    if config.options.stand_in is None:  # which the command line may have added
        config = config.standing_in(sweep.config.options.stand_in)
    _check_not_cancelled(sweep.id, sweep.state)
    check_update(sweep.id, sweep.config, config)
    attributes = {ATTEMPT: {"kind": "update"}, CONFIG: config.raw}
    _create(sweep, create_trial(state=TrialState.FAIL, user_attrs=attributes))
    sweep.refresh()


def _create(sweep: SweepReader, trial: FrozenTrial) -> None:
    with storage_errors():
        sweep.storage.optuna.create_new_trial(sweep.study_id, trial)


@dataclass(frozen=True)
class PriorRun:
    """A run of another sweep.

    Attributes:
        sweep: The other sweep's id.
        metric: The name of that sweep's metric; ``None`` if it has none.
        run: The run.
    """

    sweep: str
    metric: str | None
    run: SweepRun

    def value(self, metric: Metric) -> float | None:
        """Return the best finite value that the run logged of a metric, by the goal of ``metric``; ``None`` for none.

        The metric is found by its name: the other sweep may have another metric, or another goal.
        """
        stats = self.run.metrics.get(metric.name, {})
        logged = [stats[key] for key in ("min", "max") if key in stats]
        # The reports of attempts before the last one are in the history only.
        return best_of([*logged, *(self.run.history if self.metric == metric.name else ())], metric.goal)


_RUN = re.compile(r"p?\d{4,}")
_NUMBER = re.compile(r"[0-9]{1,3}")
"""The id of a run in its sweep; that of a prior run begins with p."""


def sweep_and_run(name: str, sweep: str = "") -> tuple[str, str]:
    """Return the ids of the sweep and of the run that ``SWEEP/RUN``, or the unique id ``SWEEP-RUN``, names.

    Args:
        name: The name, also of a sweep alone; the id of its run is then empty.
        sweep: The sweep that is meant if there is a run alone.

    A run may be named by its number alone: 3 is 0003.
    """
    before, slash, run = name.rpartition("/")
    head, dash, number = run.rpartition("-")
    if dash and _RUN.fullmatch(number) and head in (before or head, sweep):
        return head, number
    if not slash and not sweep:
        return run, ""
    return before if slash else sweep, run.zfill(4) if _NUMBER.fullmatch(run) else run


def named_runs(load: Callable[[str], SweepReader], names: Sequence[str]) -> list[PriorRun]:
    """Return the runs with these names, each ``SWEEP``, ``SWEEP/RUN`` or ``SWEEP-RUN``.

    Raises:
        NotFoundError: No such sweep or run.
    """
    found: list[PriorRun] = []
    for name in names:
        other, run = sweep_and_run(name)
        loaded = load(other)
        loaded.refresh()
        runs = {each.id: each for each in loaded.known_runs()}
        if run and run not in runs:
            raise NotFoundError(f"sweep {other} has no run {run!r}{closest(run, runs)}")
        metric = loaded.config.metric.name if loaded.config.metric else None
        found += [PriorRun(other, metric, each) for each in ([runs[run]] if run else runs.values())]
    return found


def check_prior_runs(config: SweepConfig, runs: Sequence[PriorRun]) -> None:
    """Check that a sweep can learn from prior runs.

    Raises:
        UsageError: The sweep has several metrics or none, or its method does not learn; the runs of a prior sweep lack
            the metric; or no prior run has a parameter in common with the sweep.
    """
    if not runs:
        return
    metric = check_takes_prior_runs(config)
    having = {prior.sweep for prior in runs if prior.metric == metric.name or prior.value(metric) is not None}
    for prior in runs:
        if prior.sweep not in having:
            whose = f"is for {prior.metric!r}" if prior.metric else "has no metric"
            raise UsageError(
                f"no run of sweep {prior.sweep}, which {whose}, has logged {metric.name!r}, the metric of this sweep; "
                "choose prior runs that have logged it"
            )
    names = {parameter.name for parameter in config.space.searched}
    if not any(names & set(prior.run.values) for prior in runs):
        which = f"which searches {', '.join(sorted(names))}" if names else "which searches none"
        raise UsageError(f"the prior runs have no parameter in common with the sweep, {which}")


def check_takes_prior_runs(config: SweepConfig) -> Metric:
    """Check that a sweep can have prior runs at all, and return the metric by which they are compared.

    Raises:
        UsageError: The sweep has several metrics or none, or its method does not learn.
    """
    if config.metric is None or len(config.metrics) != 1:
        raise UsageError("prior runs need a sweep with exactly one metric, by which they are compared")
    if not learns(config):
        raise UsageError(
            f"method {config.method} does not learn from runs, so prior runs have no effect; "
            "use method bayes, or leave them out"
        )
    return config.metric


def add_prior_runs(sweep: SweepReader, runs: Sequence[PriorRun]) -> tuple[int, int]:
    """Let bayes learn from runs of other sweeps; return the numbers of runs that were added and that were not.

    A run is added if it logged the metric and its values are in this sweep's space. A parameter that the run did not
    have gets the middle of its distribution. Prior runs do not count for caps, tickets and bands.

    Args:
        sweep: The sweep.
        runs: The runs.
    """
    metric, space = sweep.config.metric, sweep.config.space
    names = {parameter.name for parameter in space.searched}
    middle = {parameter.name: parameter.distribution.quantile(0.5) for parameter in space.parameters}
    taken = 0
    for prior in runs:
        run, value = prior.run, prior.value(metric) if metric else None
        values = {**middle, **{name: each for name, each in run.values.items() if name in names}}
        try:
            space.unit(values)
        except (ValueError, TypeError):
            continue  # outside of the space
        if value is None:
            continue
        taken += 1
        stored = params_to_optuna(space, values)
        source = f"{prior.sweep}/{run.id}"
        had = {name: each for name, each in run.values.items() if name in values}
        trial = create_trial(
            state=TrialState.COMPLETE,
            value=value,
            params={name: each for name, (_, each) in stored.items()},
            distributions={name: distribution for name, (distribution, _) in stored.items()},
            user_attrs={
                ATTEMPT: {"kind": "prior", "from": source, "values": had},
                SUMMARY: {
                    "state": RunState.FINISHED,
                    "reason": f"from {source}",
                    "metrics": plain_metrics(run.metrics),
                },
            },
            intermediate_values={1: value},
        )
        _create(sweep, trial)
    sweep.refresh()
    return taken, len(runs) - taken
