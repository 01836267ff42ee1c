"""The runs of a sweep as the storage holds them, as users see them, and the best of them."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from lightsweep.errors import InputError
from lightsweep.sampler import Observation, RunState
from lightsweep.sampler.optuna_params import from_optuna
from lightsweep.schema import SweepConfig
from lightsweep.schema.results import Constraint
from lightsweep.space import Constant, Parameter, Space
from lightsweep.storage.trials import TrialRow

SWEEP = "lightsweep:sweep"
"""Study attribute: format, config as written, seed, source, time of creation."""

STATE = "lightsweep:state"
"""Study attribute: the state that the user requested, ``running``, ``paused``, ``stopped`` or ``cancelled``."""

ATTEMPT = "lightsweep:attempt"
"""Trial attribute, from the trial's first moment: kind, agent, the directory of its runs, and of a retry its run.

Kinds: ``fresh``, ``retry``; ``update``, from which on another config holds; ``prior``, a run of another sweep. An agent
adds the trial's number.
"""

CONFIG = "lightsweep:config"
"""Trial attribute of an ``update``: the config as written."""

SUMMARY = "lightsweep:summary"
"""Trial attribute, written when the trial ends: state, reason, metrics, unread parameters.

``since`` is the number of its first reports that count no more; absent if all count.
"""

VALUES = "lightsweep:values"
"""Trial attribute, flat values in JSON: claims a point, and keeps parameters that no config declares."""

GAIN = "lightsweep:gain"
"""Trial attribute: the improvement that the model expected when it proposed the run; only for ``stop_when``."""

FORMAT = 1
"""Version of the attributes' content."""


def attempt_of(found: Any) -> dict[str, Any] | None:
    """Return the value of ``ATTEMPT`` if it is valid; ``None`` without one, or if another program wrote it."""
    if not isinstance(found, dict):
        return None
    kind = found.get("kind")
    if kind == "retry":
        proper = isinstance(found.get("run"), str) and isinstance(found.get("attempt"), int)
    elif kind == "fresh" and "stage" in found:
        proper = isinstance(found["stage"], int) and {"limit", "base"} <= found.keys()
    else:
        proper = kind in {"fresh", "update", "prior"}
    return found if proper else None


_STATES: dict[str, RunState] = dict.fromkeys(["RUNNING", "WAITING"], RunState.RUNNING)
_STATES.update(COMPLETE=RunState.FINISHED, PRUNED=RunState.PRUNED)


@dataclass(frozen=True)
class Repeat:
    """The place of a run among its repeats; kept in the trial.

    Attributes:
        point: The position of its values in the sequence of points, from 0.
        repeat: Which repeat it is, from 1.
        seed: The seed that its script gets.
        group: The id of the first run with these values.
    """

    point: int
    repeat: int
    seed: int
    group: str

    @classmethod
    def of(cls, attempt: Mapping[str, Any]) -> Repeat | None:
        """Return the repeat that a trial's ``ATTEMPT`` holds; ``None`` if it holds none."""
        point, repeat, seed, group = (attempt.get(name) for name in ("point", "repeat", "seed", "group"))
        if isinstance(point, int) and isinstance(repeat, int) and isinstance(seed, int) and isinstance(group, str):
            return cls(point, repeat, seed, group)
        return None

    def document(self) -> dict[str, Any]:
        """Return the content of ``ATTEMPT``."""
        return asdict(self)


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep, for users.

    Attributes:
        id: Unique within the sweep: ``"0001"`` is the first.
        state: ``running``, ``finished``, ``pruned``, ``failed`` or ``killed``.
        config: The parameters as the script sees them, nested.
        values: The parameters under their dotted names.
        best: The best finite value of the sweep's metric; ``None`` if there is none.
        last: The last reported value, NaN and infinities included; ``None`` before the first.
        iterations: The number of finite values of the metric.
        history: Those values, in order.
        started, ended: Times in UTC; ``None`` before that time.
        reason: The reason of its end, in words; empty while it runs.
        metrics: For each number that the run logged ``{"min", "max", "last"}``.
        unread: Swept parameters that the run never read.
        attempt: 1, and one more for each retry.
        agent: The agent of its last attempt: host and process.
        directories: The directories of its attempts, each once, the latest last; empty if an older version ran it.
        stage: The name of its stage; ``None`` in a sweep without stages.
        repeat: Its place among the runs with the same values; ``None`` in a sweep without repeats.
        breaks: The constraints that it breaks, each with its value, ``latency_ms <= 20: 31.2``; also in ``reason``.
            Empty while it runs.
        prior: Whether it is a prior run. ``config`` and ``values`` then hold those of this sweep's parameters that it
            had, and ``best`` is of this sweep's metric.
        waiting: Whether it ended without a result and agents will retry it.
    """

    id: str
    state: RunState
    config: dict[str, Any]
    values: dict[str, Any]
    best: float | None = None
    last: float | None = None
    iterations: int = 0
    history: tuple[float, ...] = ()
    started: datetime | None = None
    ended: datetime | None = None
    reason: str = ""
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    attempt: int = 1
    agent: str = ""
    directories: tuple[str, ...] = ()
    stage: str | None = None
    breaks: tuple[str, ...] = ()
    prior: bool = False
    waiting: bool = False
    repeat: Repeat | None = None

    @property
    def labels(self) -> dict[str, str]:
        """The values of the labels that the run has, see :attr:`~lightsweep.SweepConfig.labels`."""
        labels = {"stage": self.stage, "group": self.group}
        return {name: text for name, text in labels.items() if text is not None}

    @property
    def group(self) -> str | None:
        """The id of the first run with the same values; ``None`` in a sweep without repeats."""
        return None if self.repeat is None else self.repeat.group

    @property
    def standing(self) -> RunState:
        """The state that is displayed: ``waiting`` if agents will retry the run, else ``state``."""
        return RunState.WAITING if self.waiting else self.state


@dataclass(slots=True)
class RunEntry:
    """One run as the storage holds it: its latest attempt, and the number of its attempts.

    Attributes:
        id: Run id.
        ticket: Position among the fresh runs, from 0; ``None`` for a prior run.
        attempt: The number of the latest attempt, from 1; a requested retry counts as one.
        starts: The number of times that an agent started it.
        record: The latest attempt's trial.
        stage: The name of its stage; ``None`` in a sweep without stages.
        repeat: Its place among the runs with the same values; ``None`` in a sweep without repeats.
        prior: Whether it is a prior run.
        version: Changes with the record.
        iterations: The number of finite values of the metric.
        best: The best of them; ``None`` if there is none.
        seen: The run for users, and ``observation`` for a searcher; each is made when it is needed, and forgotten when
            the record or the config changes.
        began: The start of its first attempt, once another one has replaced it.
    """

    id: str
    ticket: int | None
    attempt: int
    record: TrialRow
    stage: str | None = None
    prior: bool = False
    starts: int = 1
    version: int = 0
    iterations: int = 0
    best: float | None = None
    seen: SweepRun | None = None
    observation: Observation | None = None
    repeat: Repeat | None = None
    began: datetime | None = None
    _measured: int = 0
    _since: int = 0
    _gain: float | None = None
    _homes: tuple[str, ...] = ()
    _lasts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        attempt = self.record.attributes.get(ATTEMPT, {}) if self.record.mentions("point") else {}
        self.repeat = Repeat.of(attempt) if "point" in attempt else None

    @property
    def point(self) -> int | None:
        """The position of its values among the points of a searcher: its ticket, unless there are repeats."""
        return self.ticket if self.repeat is None else self.repeat.point

    @property
    def history(self) -> list[float]:
        """The finite values of the metric, in order: the iterations."""
        return finite(self.reports)

    @property
    def reports(self) -> Sequence[float]:
        """The values of the metric that count, in order; with NaN and infinities."""
        return self.record.reports[self._since :]

    def adopt(self, attempt: int, record: TrialRow) -> None:
        """Continue with the next attempt; its record holds the reports of those before."""
        self._homes, self._gain, self._lasts = self.homes, self.gain, {**self._lasts, **self.summary.get("metrics", {})}
        self.began, self.attempt, self.record = self.began or self.record.started, attempt, record
        self.starts += not self.record.attributes.get(ATTEMPT, {}).get("asked", False)
        self.iterations, self.best, self._measured, self._since = 0, None, 0, 0

    @property
    def homes(self) -> tuple[str, ...]:
        """The directories in which the agents of its attempts kept the runs of the sweep, the latest last."""
        home = self.record.attributes.get(ATTEMPT, {}).get("home")
        return (*(each for each in self._homes if each != home), *([home] if isinstance(home, str) else []))

    def measure(self, better: Callable[..., float]) -> None:
        """Update ``version``, ``iterations`` and ``best`` by the new reports; ``better`` is ``min`` or ``max``."""
        self.forget()
        self.version += 1
        since = self.summary.get("since", 0) if self.record.mentions("since") else 0
        if isinstance(since, int) and since > self._since:
            self._since, self.iterations, self.best, self._measured = since, 0, None, since
        new = finite(self.record.reports[self._measured :])
        self._measured = len(self.record.reports)
        self.iterations += len(new)
        if new:
            self.best = better(new if self.best is None else [self.best, *new])

    def last(self, metric: str) -> float | None:
        """Return the last value of a number that the run logged, once it has ended; ``None`` without one."""
        found = {**self._lasts, **self.summary.get("metrics", {})}.get(metric, {}).get("last")
        return None if found is None else float(found)

    def forget(self) -> None:
        """Make ``seen`` and ``observation`` again when they are needed."""
        self.seen = self.observation = None

    @property
    def summary(self) -> Mapping[str, Any]:
        """The content of ``SUMMARY``, written at the attempt's end; empty while it runs."""
        found = self.record.attributes.get(SUMMARY)
        return found if isinstance(found, dict) else {}

    @property
    def gain(self) -> float | None:
        """The content of ``GAIN``, of the attempt that got the parameters; ``None`` without one."""
        found = self.record.attributes.get(GAIN)
        return float(found) if isinstance(found, (int, float)) else self._gain

    @property
    def running(self) -> bool:
        """Whether it is running, by the storage."""
        return self.record.state == "RUNNING"

    @property
    def asked(self) -> bool:
        """Whether the user requested a retry that no agent has started yet."""
        return self.waiting and bool(self.record.attributes.get(ATTEMPT, {}).get("asked"))

    @property
    def waiting(self) -> bool:
        """Whether it was lost or preempted, and no agent has retried it yet."""
        # Of two agents that end one trial through Optuna's API, one may write the state and the other the summary.
        return self.record.state == "FAIL" and self.summary.get("state") not in {RunState.FAILED, RunState.KILLED}

    @property
    def state(self) -> RunState:
        """One of the states of :class:`SweepRun`; a run that waits to be retried counts as ``killed``."""
        if self.record.state == "FAIL":
            return RunState.FAILED if self.summary.get("state") == RunState.FAILED else RunState.KILLED
        return _STATES[self.record.state]


class RunTable:
    """The runs of a sweep, from the records of its ledger.

    A fresh run's ticket is its trial number less the number of earlier trials that are not fresh runs: retries, prior
    runs, updates, and trials of other programs. So every reader finds the same tickets.

    Args:
        goal: Of the sweep's metric, ``minimize`` or ``maximize``.
        stage_of: Called with the attempt and the ticket of each run, fresh ones in order; returns its stage's name.

    Attributes:
        best: The best value that any run reported, in any state; ``None`` if there is none.
        entries: By id.
        next_ticket: The ticket of the next fresh run.
        next_point: The point of the next fresh run, repeats left out.
        updates: For each update of the config the number of points given out before it, and the config as written.
        malformed: Trials with an invalid ``ATTEMPT``; they are ignored.
    """

    def __init__(self, goal: str, stage_of: Callable[[Mapping[str, Any], int | None], str | None]) -> None:
        self._better: Callable[..., float] = min if goal == "minimize" else max
        self._stage_of = stage_of
        self.best: float | None = None
        self.entries: dict[str, RunEntry] = {}
        self.next_ticket = self.next_point = 0
        self.updates: list[tuple[int, dict[str, Any]]] = []
        self.malformed: list[TrialRow] = []
        self._by_trial: dict[int, RunEntry | None] = {}
        self._priors = 0

    def of_trial(self, trial_id: int) -> RunEntry | None:
        """Return the run that this trial is or was a valid attempt of."""
        return self._by_trial.get(trial_id)

    def take(self, records: Iterable[TrialRow]) -> list[RunEntry]:
        """Note changed records, in the order of their numbers, and return the changed runs."""
        changed: dict[str, RunEntry] = {}
        for record in records:
            if record.trial_id not in self._by_trial and ATTEMPT in record.attributes:
                self._by_trial[record.trial_id] = self._add(record)
            entry = self._by_trial.get(record.trial_id)
            if entry is not None and entry.record is record:
                entry.measure(self._better)
                if entry.best is not None and not entry.prior:  # a prior run cannot reach the target
                    self.best = entry.best if self.best is None else self._better(self.best, entry.best)
                changed[entry.id] = entry
        return list(changed.values())

    def _add(self, record: TrialRow) -> RunEntry | None:
        attempt = attempt_of(record.attributes[ATTEMPT])
        if attempt is None:
            self.malformed.append(record)
            return None
        if attempt["kind"] == "update":
            self.updates.append((self.next_point, record.attributes[CONFIG]))
            return None
        if attempt["kind"] == "prior":
            self._priors += 1
            entry = RunEntry(f"p{self._priors:04d}", None, 1, record, prior=True)
            self.entries[entry.id] = entry
        elif attempt["kind"] == "fresh":
            ticket = self.next_ticket
            entry = RunEntry(run_id(ticket), ticket, 1, record, self._stage_of(attempt, ticket))
            self.next_ticket += 1
            self.next_point = max(self.next_point, (entry.point or 0) + 1)
            self.entries[entry.id] = entry
        else:
            run = attempt["run"]
            if run not in self.entries:
                stage = self._stage_of(attempt, attempt.get("ticket"))
                self.entries[run] = RunEntry(run, attempt.get("ticket"), 0, record, stage, starts=0)
            entry = self.entries[run]
            # Of two trials for the same attempt the earlier counts; the agent of the later one notices and gives it up.
            if attempt["attempt"] <= entry.attempt:
                return None
            entry.adopt(attempt["attempt"], record)
        return entry


def run_id(ticket: int) -> str:
    """Return the id of a ticket's run: counted from 1, with four digits or more."""
    return f"{ticket + 1:04d}"


def finite(reports: array[float] | Iterable[float]) -> list[float]:
    """Return the reports that count as iterations: the finite ones."""
    return [value for value in reports if math.isfinite(value)]


def values_of(entry: RunEntry, config: SweepConfig) -> dict[str, Any] | None:
    """Return the parameters of a run under their dotted names; ``None`` before they are written.

    They are the trial's parameters; or ``VALUES`` if the config does not declare all of them, or if the agent died
    while it wrote them.
    """
    kept = entry.record.attributes.get(VALUES)
    if not config.defined_by_run:
        stored = entry.record.parameters
        values = {
            parameter.name: _native(parameter, stored[parameter.name])
            for parameter in config.space.parameters
            if parameter.name in stored
        }
        if config.space.is_whole(values):
            return values
    return dict(kept) if isinstance(kept, dict) else None


def _native(parameter: Parameter, stored: Any) -> Any:
    try:
        return from_optuna(parameter.distribution, stored)
    except ValueError:
        return stored  # of a run before an update that removed the value


def nested(values: Mapping[str, Any], config: SweepConfig) -> dict[str, Any]:
    """Return the parameters of a run as the script sees them; undeclared ones are nested by their dots.

    Raises:
        InputError: An undeclared parameter is also the group that holds another.
    """
    known = {parameter.name for parameter in config.space.parameters}
    if known.issuperset(values):
        return config.space.nest(values)
    others = [Parameter(name, _path(name), Constant(value)) for name, value in values.items() if name not in known]
    try:
        return Space([*config.space.parameters, *others]).nest(values)
    except ValueError as error:
        raise InputError(f"scheduler.search_space: {error}") from None


def _path(name: str) -> tuple[str, ...]:
    parts = tuple(name.split("."))
    return parts if all(parts) else (name,)


def breaks(run: SweepRun | RunEntry, config: SweepConfig) -> tuple[str, ...]:
    """Return the constraints that a run breaks, each with its value.

    A finished or pruned run that has not logged the number breaks the constraint.
    """
    if isinstance(run, SweepRun):
        return run.breaks
    if run.running or not config.options.constraints:
        return ()
    lasts = [(each, run.last(each.metric)) for each in config.options.constraints]
    return broken(lasts, ended=not run.prior and run.state in {RunState.FINISHED, RunState.PRUNED})


def broken(lasts: Iterable[tuple[Constraint, float | None]], *, ended: bool) -> tuple[str, ...]:
    """Return the constraints that last values break; a value that is missing does only if the run has ``ended``."""
    found = (constraint.breach(last) for constraint, last in lasts if ended or last is not None)
    return tuple(filter(None, found))


def with_breaks(reason: str, found: Sequence[str]) -> str:
    """Return the reason of a run's end, and the constraints that it breaks."""
    return "; ".join(filter(None, [reason, f"breaks {' and '.join(found)}" if found else ""]))


def with_seed(values: Mapping[str, Any], repeat: Repeat | None, config: SweepConfig) -> dict[str, Any]:
    """Return the values of a run with its seed; unchanged for a run without repeats."""
    repeats = config.options.repeats
    return dict(values) if repeat is None or repeats is None else {**values, repeats.seed: repeat.seed}


def plain_metrics(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float | str]]:
    """Return the statistics of each number for ``SUMMARY``; values that are not finite become text."""
    return {
        name: {key: value if math.isfinite(value) else str(value) for key, value in stats.items()}
        for name, stats in metrics.items()
    }


def wants_retry(entry: RunEntry, config: SweepConfig) -> bool:
    """Return whether the run waits for an agent to retry it."""
    if entry.running:
        return False
    if entry.waiting:
        return entry.asked or entry.starts <= config.options.max_preemptions
    return entry.state == RunState.FAILED and entry.starts <= config.options.max_retries


def in_order_of_ends(entries: Iterable[RunEntry], config: SweepConfig) -> list[RunEntry]:
    """Return the runs that have ended for good, and not because the user or an agent ended them."""
    counted = {RunState.FINISHED, RunState.PRUNED, RunState.FAILED}
    found = [
        (entry.record.ended, entry.ticket or 0, entry)
        for entry in entries
        if entry.record.ended is not None and entry.state in counted and not wants_retry(entry, config)
    ]
    return [entry for *_, entry in sorted(found, key=lambda each: each[:2])]
