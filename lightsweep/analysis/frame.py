"""The runs of a sweep as a pandas frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lightsweep.analysis.optional import required
from lightsweep.controller import SweepRun
from lightsweep.schema import SweepConfig

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["dataframe"]

_INT64 = range(-(2**63), 2**63)


def dataframe(runs: Sequence[SweepRun], config: SweepConfig) -> pd.DataFrame:
    """One row a run, in the order given.

    The columns are ``id``, ``prior`` (only where there are prior runs: whether it is one), ``stage`` (of a sweep with
    stages only, a category in their order), ``state``, ``best``, ``last``, ``iterations``, ``started``, ``ended``,
    ``reason``, then
    ``config.<name>`` for every parameter by its dotted name, then ``last.<name>``, ``min.<name>`` and ``max.<name>``
    for every number that was logged. Names are taken as they are, whatever characters they hold.

    Times are in UTC. A parameter whose values are all integers, numbers, booleans or texts has the type ``int64``,
    ``float64``, ``bool`` or ``category`` (in the order of the sweep file); where a run has no value yet ``Int64``,
    ``float64`` with NaN, ``boolean`` or a missing category. Mixed values, lists and dicts, and integers beyond 64 bits
    are kept as they are, in a column of objects.

    Raises:
        UsageError: pandas is not installed.
    """
    pandas = required("pandas")
    declared = {parameter.name: parameter.distribution for parameter in config.space.parameters}
    names = config.names(run.values for run in runs)
    metrics = sorted({name for run in runs for name in run.metrics})
    columns: dict[str, Any] = {
        "id": pandas.Series([run.id for run in runs], dtype="str"),
        **({"prior": pandas.Series([run.prior for run in runs], dtype="bool")} if any(r.prior for r in runs) else {}),
        **{name: _label(pandas, runs, name, values) for name, values in config.labels.items()},
        "state": pandas.Series([run.state for run in runs], dtype="str"),
        "best": _floats(pandas, [run.best for run in runs]),
        "last": _floats(pandas, [run.last for run in runs]),
        "iterations": pandas.Series([run.iterations for run in runs], dtype="int64"),
        "started": _times(pandas, [run.started for run in runs]),
        "ended": _times(pandas, [run.ended for run in runs]),
        "reason": pandas.Series([run.reason for run in runs], dtype="str"),
    }
    for name in names:
        values = [run.values.get(name, _ABSENT) for run in runs]
        size = declared[name].size if name in declared else None
        order = [declared[name].value_at(index) for index in range(size)] if size and size <= 1000 else []
        columns[f"config.{name}"] = _parameter(pandas, values, order)
    for name in metrics:
        for which in ("last", "min", "max"):
            columns[f"{which}.{name}"] = _floats(pandas, [run.metrics.get(name, {}).get(which) for run in runs])
    return pandas.DataFrame(columns)


def _label(pandas: Any, runs: Sequence[SweepRun], name: str, values: Sequence[str]) -> Any:
    return pandas.Series(pandas.Categorical([run.labels.get(name) for run in runs], categories=values, ordered=True))


class _Absent:
    """A run that has no value for a parameter, which may itself be null."""


_ABSENT = _Absent()


def _floats(pandas: Any, values: list[Any]) -> Any:
    return pandas.Series([float("nan") if value is None else float(value) for value in values], dtype="float64")


def _times(pandas: Any, values: list[Any]) -> Any:
    return pandas.Series(pandas.to_datetime(values, utc=True), dtype="datetime64[us, UTC]")


def _parameter(pandas: Any, values: list[Any], order: list[Any]) -> Any:
    """A column of the narrowest type that holds all values, those of ``order`` included."""
    given = [value for value in values if value is not _ABSENT]
    some_absent = len(given) < len(values)
    kinds = {type(value) for value in (given or order)} | ({type(value) for value in order} if order else set())
    present = [None if value is _ABSENT else value for value in values]
    if kinds == {bool}:
        return pandas.Series(present, dtype="boolean" if some_absent else "bool")
    if kinds == {int} and all(value in _INT64 for value in given):
        return pandas.Series(present, dtype="Int64" if some_absent else "int64")
    if kinds and kinds <= {int, float} and float in kinds:
        return _floats(pandas, present)
    if kinds == {str}:
        categories = list(dict.fromkeys([*order, *given]))
        return pandas.Series(pandas.Categorical(present, categories=categories))
    return pandas.Series(present, dtype="object")
