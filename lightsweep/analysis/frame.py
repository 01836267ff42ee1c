"""Choose the runs that count for a metric, and put runs into a pandas frame."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lightsweep.controller import SweepRun
from lightsweep.errors import UsageError
from lightsweep.schema import SweepConfig

if TYPE_CHECKING:
    import pandas as pd
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from lightsweep.controller import RunState
from lightsweep.errors import closest
from lightsweep.text import counted

_INT64 = range(-(2**63), 2**63)
_ABSENT = object()  # the value of a parameter that a run does not have; a parameter may itself be null
_DISTRIBUTIONS = {"sklearn": "scikit-learn"}


def dataframe(runs: Sequence[SweepRun], config: SweepConfig) -> pd.DataFrame:
    """Return one row for each run, in the order given.

    The columns are ``id``, ``prior`` (only if there are prior runs: whether it is one), ``stage`` (only of a sweep with
    stages, a category in their order), ``group`` (only with repeats, a category: the first run with the same values),
    ``state``, ``best``, ``last``, ``iterations``, ``started``, ``ended``,
    ``reason``, then ``config.<name>`` for every parameter by its dotted name, then ``last.<name>``, ``min.<name>`` and
    ``max.<name>`` for every number that was logged. Names are not changed, whatever characters they have.

    Times are in UTC. A parameter whose values are all integers, numbers, booleans or texts has the type ``int64``,
    ``float64``, ``bool`` or ``category`` (in the order of the sweep file); if a run has no value yet, ``Int64``,
    ``float64`` with NaN, ``boolean`` or a missing category. Mixed values, lists and dicts, and integers beyond 64 bits
    are in a column of objects.

    Raises:
        UsageError: pandas is not installed.
    """
    pandas = required("pandas")

    def column(values: list[Any], dtype: str) -> Any:
        return pandas.Series(values, dtype=dtype)

    columns: dict[str, Any] = {"id": column([run.id for run in runs], "str")}
    if any(run.prior for run in runs):
        columns["prior"] = column([run.prior for run in runs], "bool")
    for name, values in config.labels.items():
        labels = [run.labels.get(name) for run in runs]
        columns[name] = pandas.Series(pandas.Categorical(labels, categories=values or None, ordered=bool(values)))
    columns |= {
        "state": column([str(run.state) for run in runs], "str"),
        "best": _floats(pandas, [run.best for run in runs]),
        "last": _floats(pandas, [run.last for run in runs]),
        "iterations": column([run.iterations for run in runs], "int64"),
        "started": _times(pandas, [run.started for run in runs]),
        "ended": _times(pandas, [run.ended for run in runs]),
        "reason": column([run.reason for run in runs], "str"),
    }
    declared = {parameter.name: parameter.distribution for parameter in config.space.parameters}
    for name in config.names(run.values for run in runs):
        size = declared[name].size if name in declared else None
        order = [declared[name].value_at(index) for index in range(size)] if size and size <= 1000 else []
        columns[f"config.{name}"] = _parameter(pandas, [run.values.get(name, _ABSENT) for run in runs], order)
    for name in sorted({name for run in runs for name in run.metrics}):
        for which in ("last", "min", "max"):
            columns[f"{which}.{name}"] = _floats(pandas, [run.metrics.get(name, {}).get(which) for run in runs])
    return pandas.DataFrame(columns)


def _floats(pandas: Any, values: list[Any]) -> Any:
    return pandas.Series([float("nan") if value is None else float(value) for value in values], dtype="float64")


def _times(pandas: Any, values: list[Any]) -> Any:
    return pandas.Series(pandas.to_datetime(values, utc=True), dtype="datetime64[us, UTC]")


def _parameter(pandas: Any, values: list[Any], order: list[Any]) -> Any:
    """Return a column of the narrowest type that has all values, those of ``order`` included."""
    given = [value for value in values if value is not _ABSENT]
    lacking = len(given) < len(values)
    kinds = {type(value) for value in (*given, *order)}
    present = [None if value is _ABSENT else value for value in values]
    if kinds == {bool}:
        return pandas.Series(present, dtype="boolean" if lacking else "bool")
    if kinds == {int} and all(value in _INT64 for value in given):
        return pandas.Series(present, dtype="Int64" if lacking else "int64")
    if kinds in ({float}, {int, float}):
        return _floats(pandas, present)
    if kinds == {str}:
        return pandas.Series(pandas.Categorical(present, categories=list(dict.fromkeys([*order, *given]))))
    return pandas.Series(present, dtype="object")


def required(module: str, extra: str = "analysis") -> ModuleType:
    """Import a module of a package that comes with an extra of lightsweep.

    Args:
        module: Its dotted name, such as ``"sklearn.ensemble"``.
        extra: The name of the extra.

    Raises:
        UsageError: It is not installed; the message has the command that installs it.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        name = _DISTRIBUTIONS.get(package, package.replace("_", "-"))
        raise UsageError(
            f"this needs {name}, which is not installed; install it with: pip install 'lightsweep[{extra}]'"
        ) from None


COUNTED = (RunState.FINISHED, RunState.PRUNED)
"""States of the runs that count: only the training and its metric ended them."""

Goal = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class Scores:
    """The runs that count, and their values.

    Attributes:
        metric: The metric's name.
        goal: ``None`` for a metric that the sweep does not improve.
        runs: The runs that count; of each group of repeats only the first.
        values: A finite number for each of them.
        notes: Which runs were left out, and how runs that were stopped early count.
    """

    metric: str
    goal: Goal | None
    runs: tuple[SweepRun, ...]
    values: tuple[float, ...]
    notes: tuple[str, ...]

    @property
    def thing(self) -> str:
        """The noun for one of ``runs``: ``group`` if repeats count as one."""
        return "group" if any(run.repeat is not None for run in self.runs) else "run"


def scores(runs: Sequence[SweepRun], config: SweepConfig, metric: str | None = None, at: int | None = None) -> Scores:
    """Return the finished and pruned runs with their values.

    The value is the best finite value of the run if the sweep improves the metric, as in the sampler; a pruned run
    counts with its best until then, which is worse than that of a whole training (``at`` compares equal trainings).
    For any other metric it is the last value. Repeats count as one run, with the mean of those that have finished.

    A prior run counts if it had each searched parameter, since the sampler makes up those that it lacked; other
    parameters may have differed. Only its best value is known, so prior runs do not count with ``at``.

    Args:
        runs: The runs of one sweep.
        config: Its config.
        metric: The sweep's first metric by default.
        at: Compare the best of the first ``at`` iterations, and leave out runs with fewer; only for the sweep's first
            metric, since other metrics have no history.

    Raises:
        UsageError: No metric is named and the sweep has none; no run has logged it; ``at`` is below 1, or given for
            another metric.
    """
    own = config.metric
    name = metric if metric is not None else own.name if own else None
    known = {other for run in runs for other in run.metrics}
    if name is None:
        raise UsageError(f"the sweep has no metric, so name one that was logged: {_listed(known)}")
    meant = next((each for each in config.metrics if each.name == name), None)
    if meant is None and name not in known:
        raise UsageError(f"no run has logged {name!r}{closest(name, known) or f'; there are: {_listed(known)}'}")
    is_own = own is not None and name == own.name
    if at is not None and at < 1:
        raise UsageError(f"runs are compared at an iteration of at least 1, not {at}")
    if at is not None and not is_own:
        raise UsageError(f"{name!r} has no history, so runs cannot be compared at an iteration; leave out at")
    goal: Goal | None = meant.goal if meant else None
    notes: list[str] = []

    def keep(kept: Iterable[bool], found: Sequence[SweepRun], thing: str, why: str) -> list[SweepRun]:
        left = [run for run, stays in zip(found, kept, strict=True) if stays]
        if len(left) < len(found):
            notes.append(f"left out: {counted(len(found) - len(left), thing)} {why}")
        return left

    names = {parameter.name for parameter in config.space.searched}
    why = "without a value of each searched parameter" if at is None else "without a history"
    learns = (not run.prior or (at is None and _has_all(run, names, config)) for run in runs)
    usable = keep(learns, runs, "prior run", why)
    states = Counter(run.standing for run in usable if run.state not in COUNTED)
    if states:
        notes.append(f"left out: {', '.join(counted(states[state], f'{state} run') for state in sorted(states))}")
    ended = [run for run in usable if run.state in COUNTED]
    if at is not None:
        ended = keep(
            (len(run.history) >= at for run in ended), ended, "run", f"with fewer than {counted(at, 'iteration')}"
        )
    valued = {run.id: value for run in ended if (value := _value(run, name, goal, is_own, at)) is not None}
    counting = keep((run.id in valued for run in ended), ended, "run", f"without a finite {name}")
    total = counted(len(counting), "run")
    stopped = sum(run.state == RunState.PRUNED for run in counting)
    if stopped and at is None:
        way = "best" if goal else "last"
        notes.append(f"{stopped:,} of {total} stopped early, counted with the {way} value until then")
    if prior := sum(run.prior for run in counting):
        notes.append(f"{prior:,} of {total} {'is a prior run' if prior == 1 else 'are prior runs'}")
    found = _grouped(counting, valued)
    if any(run.repeat is not None for run in counting):
        notes.append(f"repeats count as one, with their mean: {total} in {counted(len(found), 'group')}")
    return Scores(name, goal, tuple(run for run, _ in found), tuple(value for _, value in found), tuple(notes))


def _grouped(runs: Sequence[SweepRun], valued: Mapping[str, float]) -> list[tuple[SweepRun, float]]:
    """Return each run with its value; of repeats the first one, with the mean of those that have finished, if any."""
    found: dict[str, list[SweepRun]] = {}
    for run in runs:
        found.setdefault(run.repeat.group if run.repeat is not None else run.id, []).append(run)
    pairs = []
    for group in found.values():
        whole = [run for run in group if run.state == RunState.FINISHED] or group
        pairs.append((group[0], math.fsum(valued[run.id] for run in whole) / len(whole)))
    return pairs


def never_read(runs: Iterable[SweepRun]) -> frozenset[str]:
    """Return the searched parameters that no run read: they cannot have an effect, whatever the numbers say.

    Of the runs that had the parameter the finished ones decide; without one, those that were stopped early. A run that
    ended without a word about what it read counts as one that read everything.
    """
    own = [run for run in runs if not run.prior]
    for state in COUNTED:
        if ended := [run for run in own if run.state == state]:
            read = {name for run in ended for name in run.values if name not in run.unread}
            return frozenset(name for run in ended for name in run.unread) - read
    return frozenset()


def _has_all(run: SweepRun, names: Iterable[str], config: SweepConfig) -> bool:
    exists = config.space.conditions.exists
    return all(name in run.values or not exists(name, run.values) for name in names)


def _value(run: SweepRun, name: str, goal: Goal | None, is_own: bool, at: int | None) -> float | None:
    if is_own and goal:
        history = run.history[:at]
        return (min if goal == "minimize" else max)(history) if history else run.best
    stats = run.metrics.get(name, {})
    value = stats.get("last" if goal is None else "min" if goal == "minimize" else "max")
    return value if value is not None and math.isfinite(value) else None


def _listed(names: set[str]) -> str:
    shown = sorted(names)[:20]
    return ", ".join(map(repr, shown)) + (", ..." if len(names) > len(shown) else "") if shown else "none yet"
