"""The stages of a sweep, as data for the page and as marks in a figure."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import plotly.graph_objects as go

from lightsweep.controller import StageView, SweepRun, best_run
from lightsweep.report.theme import MUTED, label
from lightsweep.schema import SweepConfig
from lightsweep.space import Distribution
from lightsweep.text import number, one_line, value_text

__all__ = ["MOST", "Axis", "ReportData", "digest", "make_axis", "mark_stages", "spread", "stage_table"]

_TICK_WIDTH = 18
_MOST_TICKS = 12
_MOST_CHOICES = 50
_FEW = 10
MOST = 1e300
"""No number on an axis is greater, so that the width of an axis, and a few times that, are finite too."""

_LEAST_WIDTH = 1e-300
# A range without a distribution is taken to be in log scale where its ends differ by this factor.
_WIDE = 1000.0


@dataclass(frozen=True)
class Axis:
    """One parameter's axis.

    Attributes:
        name: The parameter's dotted name.
        kind: ``linear``; ``log``, whose positions are decimal logarithms; ``ordinal``, one position for each value.
        low, high: The ends, as positions; ``low < high``.
        ticks: Position and plain text of each tick, ascending.
    """

    name: str
    kind: Literal["linear", "log", "ordinal"]
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    _places: Mapping[Hashable, int] = field(default_factory=dict, repr=False)

    def position(self, value: Any) -> float | None:
        """Where ``value`` stands; ``None`` for one that this axis does not have, such as text among numbers."""
        if self.kind == "ordinal":
            place = self._places.get(_key(value))
            return None if place is None else float(place)
        found = _real(value)
        if found is None or self.kind == "linear":
            return found
        return math.log10(found) if found > 0 else None


def make_axis(name: str, values: Sequence[Any], distribution: Distribution | None = None) -> Axis:
    """The axis of a parameter.

    Args:
        name: Its dotted name.
        values: Those that runs have, of any type; may be empty.
        distribution: What the sweep file says of it; ``None`` for one that was defined by run, whose scale is guessed.
    """
    numbers = [_real(value) for value in values]
    real = [found for found in numbers if found is not None]
    if len(real) == len(values) and _continuous(distribution, real):
        positive = bool(real) and min(real) > 0
        named_log = distribution is not None and distribution.traits.scale == "log"
        guessed_log = distribution is None and positive and max(real) / min(real) >= _WIDE
        if not real:
            return Axis(name, "linear", 0.0, 1.0, ((0.0, "0"), (1.0, "1")))
        if positive and (named_log or guessed_log):
            low, high = _apart(math.log10(min(real)), math.log10(max(real)))
            return Axis(name, "log", low, high, _log_ticks(low, high))
        low, high = _apart(min(real), max(real))
        return Axis(name, "linear", low, high, _linear_ticks(low, high))
    return _ordinal(name, values, distribution)


def _continuous(distribution: Distribution | None, real: Sequence[float]) -> bool:
    if distribution is None:
        return len(set(real)) > _FEW
    return distribution.traits.scale in ("linear", "log")


def _ordinal(name: str, values: Iterable[Any], distribution: Distribution | None) -> Axis:
    declared: list[Any] = []
    if distribution is not None and distribution.size is not None and distribution.size <= _MOST_CHOICES:
        declared = [distribution.value_at(index) for index in range(distribution.size)]
    choices: dict[Hashable, Any] = {}
    for value in [*declared, *values]:
        choices.setdefault(_key(value), value)
    if not declared or (distribution is not None and distribution.ordered):
        choices = dict(sorted(choices.items(), key=lambda item: _order(item[1])))
    places = {key: place for place, key in enumerate(choices)}
    texts = [one_line(value_text(value), _TICK_WIDTH) for value in choices.values()]
    step = max(1, math.ceil(len(texts) / _MOST_TICKS))
    ticks = tuple((float(place), texts[place]) for place in range(0, len(texts), step))
    low, high = _apart(0.0, float(max(0, len(texts) - 1)))
    return Axis(name, "ordinal", low, high, ticks, places)


def _real(value: Any) -> float | None:
    """A finite number as a float, drawn in to ``MOST``; else ``None``."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return max(-MOST, min(MOST, found)) if math.isfinite(found) else None


def _key(value: Any) -> Hashable:
    """Equal for equal values: 1 and 1.0 are one, 1 and True are two."""
    found = _real(value)
    if found is not None:
        return found
    return json.dumps(value, sort_keys=True, default=str)


def _order(value: Any) -> tuple[bool, float, str]:
    """Numbers by size, then the rest by its text."""
    found = _real(value)
    return (found is None, found or 0.0, "" if found is not None else one_line(value_text(value), 200))


def _apart(low: float, high: float) -> tuple[float, float]:
    if high - low > _LEAST_WIDTH:
        return low, high
    margin = max(0.5, abs(low) * 0.05)
    return low - margin, high + margin


def _linear_ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    step = _round_step((high - low) / 5)
    first = math.ceil(low / step)
    ticks = [place * step for place in range(first, math.floor(high / step) + 1)]
    digits = max(0, -math.floor(math.log10(step))) if step < 1 else 0
    largest = max(abs(low), abs(high))
    if largest >= 1e5 or digits > 5:
        return tuple((tick, f"{tick:.3g}") for tick in ticks)
    return tuple((tick, f"{tick:.{digits}f}") for tick in ticks)


def _round_step(rough: float) -> float:
    """The next of 1, 2 and 5 times a power of ten."""
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= rough), 10 * power)


def _log_ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    decades = range(math.ceil(low), math.floor(high) + 1)
    step = max(1, math.ceil(len(decades) / 8))
    ticks = [float(decade) for decade in decades if decade % step == 0]
    if len(ticks) < 3:
        ticks = sorted(
            {
                decade + math.log10(factor)
                for decade in range(math.floor(low), math.ceil(high) + 1)
                for factor in (1, 2, 5)
                if low <= decade + math.log10(factor) <= high
            }
        )
    if len(ticks) < 2:
        ticks = [low, high]
    return tuple((tick, number(10.0**tick)) for tick in ticks)


@dataclass(frozen=True)
class ReportData:
    """What every figure is made from.

    Attributes:
        config: The sweep's config.
        runs: Those that the sweep began, in the order of their ids; a run's index here is its row on the page.
        axes: One for each parameter that is searched or that differed between runs, by name.
        best: The best run; ``None`` where no run has a finite value.
        stages: Its stages, where it has some and they were given.
        priors: The runs of other sweeps that it began with. They have no curve and no time of their own here, so that
            they are in no figure, except that what mattered is asked of them too.
    """

    config: SweepConfig
    runs: tuple[SweepRun, ...]
    axes: tuple[Axis, ...]
    best: SweepRun | None
    stages: tuple[StageView, ...] = ()
    priors: tuple[SweepRun, ...] = ()

    @property
    def metric(self) -> str | None:
        """The name of the metric; ``None`` for a sweep without one."""
        return self.config.metric.name if self.config.metric else None

    @property
    def title(self) -> str:
        """The metric as a figure's label."""
        return label(self.metric or "", 40)

    @property
    def sign(self) -> int:
        """1 where smaller is better, -1 where greater is."""
        return -1 if self.config.metric and self.config.metric.goal == "maximize" else 1

    @property
    def valued(self) -> list[int]:
        """The indices of the runs with a finite value of the metric."""
        return [index for index, run in enumerate(self.runs) if run.best is not None and math.isfinite(run.best)]

    def without_values(self) -> str:
        """Why there is nothing to compare, in a sentence; empty where there is."""
        if self.metric is None:
            return "The sweep has no metric, so its runs cannot be compared."
        if not self.runs:
            return "No run has started yet."
        return "" if self.valued else "No run has logged a finite value of the metric yet."


def digest(config: SweepConfig, runs: Sequence[SweepRun], stages: Sequence[StageView] = ()) -> ReportData:
    """Look at a sweep; ``runs`` in the order of their ids, as ``Sweep.runs`` gives them.

    Values of the metric beyond 1e300 in size are drawn in to that. A run that waits to be started again has that state.
    """
    everything = [replace(_drawn_in(run), state=run.standing) for run in runs]
    runs = [run for run in everything if not run.prior]
    declared = {parameter.name: parameter.distribution for parameter in config.space.parameters}
    names = sorted(config.searched(run.values for run in runs))
    axes = []
    for name in names:
        values = [run.values[name] for run in runs if name in run.values]
        if name in declared or len({_same(value) for value in values}) > 1:
            axes.append(make_axis(name, values, declared.get(name)))
    return ReportData(
        config,
        tuple(runs),
        tuple(axes),
        best_run(runs, config),
        tuple(stages),
        tuple(run for run in everything if run.prior),
    )


def spread(items: Sequence[int], most: int) -> list[int]:
    """At most ``most`` of the items, evenly over their order, the first and the last included."""
    if len(items) <= most:
        return list(items)
    if most < 2:
        return list(items[:most])
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]


def _drawn_in(run: SweepRun) -> SweepRun:
    sizes = [abs(value) for value in (run.best, *run.history) if value is not None]
    if max(sizes, default=0.0) <= MOST:
        return run
    history = tuple(max(-MOST, min(MOST, value)) for value in run.history)
    best = run.best if run.best is None else max(-MOST, min(MOST, run.best))
    return replace(run, best=best, history=history)


def _same(value: Any) -> Hashable:
    return (type(value).__name__, one_line(value_text(value), 10_000))


_WIDTH = 400


def stage_table(view: ReportData) -> dict[str, Any] | None:
    """What was searched in each stage, what came of it, and what was fixed; ``None`` for a sweep without stages."""
    if not view.stages:
        return None
    searched = set(view.config.searched())
    return {
        "columns": ["stage", "state", "method", "runs", f"best {view.metric}", "searched", "fixed"],
        "rows": [_row(each, searched) for each in view.stages],
    }


def _row(view: StageView, searched: set[str]) -> list[str]:
    stage, best = view.stage, view.best
    fixed = {name: value for name, value in (view.fixed or {}).items() if name in searched}
    base = f"; from run {view.base}" if view.base is not None else ""
    return [
        one_line(stage.name, 60),
        view.state,
        stage.method,
        f"{view.runs:,} of {view.limit:,}" if view.limit is not None else f"{view.runs:,}",
        f"{number(best.best)} (run {best.id})" if best is not None and best.best is not None else "–",
        _values(best.values, stage.searched) if best is not None else one_line(", ".join(stage.searched), _WIDTH),
        f"{_values(fixed, sorted(fixed))}{base}" if fixed else "–",
    ]


def _values(values: Mapping[str, Any], names: Sequence[str]) -> str:
    return one_line(
        ", ".join(f"{name}={one_line(value_text(values[name]), 40)}" for name in names if name in values), _WIDTH
    )


def mark_stages(figure: go.Figure, view: ReportData) -> None:
    """A line before the first run of each stage, with its name, in a figure whose axis is the runs from 1 on."""
    seen: set[str] = set()
    for index, run in enumerate(view.runs):
        if run.stage is None or run.stage in seen:
            continue
        seen.add(run.stage)
        figure.add_vline(
            index + 0.5,
            line={"color": MUTED, "dash": "dot", "width": 1.5},
            annotation={"text": label(run.stage, 24), "font": {"color": MUTED}, "xanchor": "left"},
            annotation_position="top right",
        )
