"""Put the runs of a sweep into a pandas frame."""

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
