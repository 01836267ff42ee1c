"""Write the sweep file of the next sweep: the same search, narrowed to the ranges of the best runs."""

from __future__ import annotations

import copy
import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from operator import getitem
from typing import Any

import numpy as np
import yaml

from lightsweep.analysis.frame import Scores, scores
from lightsweep.controller import SweepRun
from lightsweep.controller.changes import PriorRun, check_prior_runs
from lightsweep.controller.ranking import costs, front, pareto_front
from lightsweep.errors import LightsweepError, UsageError
from lightsweep.schema import SweepConfig
from lightsweep.space import Distribution, identity
from lightsweep.text import counted, number, one_line, printable

LEAST_RUNS = 10
"""With fewer runs nothing is narrowed."""

_LEAST_TOP = 3
# Shares of the old range, on the parameter's axis.
_MARGIN = 0.1  # on each side of the best runs
_EDGE = 0.05  # a best run nearer to a bound than this is at its edge
_WIDER = 0.25  # how far that bound moves outwards
_NOT_NEXT = {"prior_runs", "stages", "first"}  # of the lightsweep block
_LINE_ENDS = frozenset("\x85\u2028\u2029")

Path = tuple[str, ...]


@dataclass(frozen=True)
class Refinement:
    """A sweep file for the next sweep.

    Attributes:
        text: The YAML, with comments.
        config: The same as plain values.
        notes: What a reader should know before using it.
    """

    text: str
    config: dict[str, Any]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """A parameter in the next sweep file.

    Attributes:
        keys: The keys below its name; empty if it stays as it was.
        comment: What was done and why, in one line.
    """

    keys: dict[str, Any]
    comment: str


def refine(
    runs: Sequence[SweepRun],
    config: SweepConfig,
    top: float = 0.2,
    *,
    sweep_id: str | None = None,
    program: str | None = None,
) -> Refinement:
    """Return a sweep file with method bayes that searches around the best runs.

    Finished and pruned runs count, by their best value of the metric. The best runs are the share ``top`` of them, at
    least three; :func:`narrow` gives the range of each parameter. With several metrics they are those of the Pareto
    front, then of the front without these, and so on; each front is whole. With fewer than ten runs nothing is
    narrowed, nor if all of the best runs are alike. The same runs give the same file.

    Args:
        runs: The runs of one sweep.
        config: Its config.
        top: The share of the runs that are the best ones, above 0 and up to 1.
        sweep_id: The sweep's id: the next sweep names it under ``prior_runs`` if there is one metric.
        program: The ``program`` of the next sweep; by default that of ``config``.

    Raises:
        UsageError: ``top`` is out of range, the sweep has no metric, or a function defines its parameters.
        LightsweepError: No run has a value of the metric.
    """
    if not 0 < top <= 1:
        raise UsageError(f"top is the share of the runs that count as the best, above 0 and up to 1, not {top:g}")
    if config.metric is None:
        raise UsageError("the sweep has no metric by which to find the best runs")
    if not config.space.parameters or (config.scheduler is not None and config.scheduler.search_space):
        raise UsageError("the parameters of this sweep are defined by a function, so change that function instead")
    kept = [run for run in runs if not run.breaks]
    scored = scores(kept, config)
    broken = len(runs) - len(kept)
    left = f"left out: {counted(broken, 'run')} that {'breaks' if broken == 1 else 'break'} a constraint"
    if not scored.runs:
        also = f"; {left}" if broken else ""
        raise LightsweepError(f"no run has ended with a finite {scored.metric!r}, so there is nothing to refine{also}")
    if len(config.metrics) > 1:
        count, best, heading = _of_fronts(kept, config, top)
    else:
        count, best, heading = _of_best(scored, config, top)
    raw = _next(config, program, sweep_id)
    notes = [*scored.notes, *([left] if broken else [])]
    blocks = {
        each.name: narrow(each.distribution, [run.values[each.name] for run in best if each.name in run.values])
        for each in config.space.searched
    }
    for parent in sorted({parent for parents in config.space.when.values() for parent in parents} & blocks.keys()):
        blocks[parent] = Block({}, "as it was, since other parameters exist only beside some of its values")
    unchanged = None
    if count < LEAST_RUNS:
        unchanged = f"{counted(count, scored.thing)}, fewer than {LEAST_RUNS}"
    elif blocks and all("value" in block.keys for block in blocks.values()):
        unchanged = "all of the best runs are alike"
    if unchanged:
        blocks = dict.fromkeys(blocks, Block({}, f"as it was: {unchanged}"))
        notes.append(f"nothing is narrowed: {unchanged}")
    if not config.is_flat:
        notes.append("the stages are left out: the refined sweep searches all parameters at once")
    comments = {}
    for parameter in config.space.searched:
        block = blocks[parameter.name]
        place = tuple(step for name in parameter.path for step in ("parameters", name))
        comments[place] = block.comment
        if block.keys:
            reduce(getitem, place[:-1], raw)[place[-1]] = block.keys
    next_config = SweepConfig.load(raw)
    if next_config.options.prior_runs:
        priors = [PriorRun(sweep_id or "", config.metric.name, run) for run in runs]
        try:  # as when the sweep is created, so that no file is written which is refused then
            check_prior_runs(next_config, priors)
        except UsageError as error:
            notes.append(f"without the old runs: {error}")
            raw = _next(SweepConfig.load(raw), program, None)
    if next_config.ends is None:
        notes.append("this sweep never ends: set run_cap, or give its agents a count")
    heading = [f"Refined from {f'sweep {sweep_id}' if sweep_id else 'a sweep'}: around {heading[0]}", *heading[1:]]
    return Refinement(commented(raw, [*heading, *(f"Note: {note}." for note in notes)], comments), raw, tuple(notes))


def narrow(distribution: Distribution, best: Sequence[Any]) -> Block:
    """Narrow a parameter to the values of the best runs.

    Numbers get bounds around them: from the 10th to the 90th percentile and the best run, with a margin of 10 % of the
    old range on each side, within the old bounds, all on the parameter's axis. A bound within 5 % of the range of the
    best run moves outwards by a quarter of the range: a maximum by at most the old width (as numbers, also on a
    logarithmic axis), a positive minimum to at most its half, and a maximum of values between 0 and 1 not to 1. A
    normal distribution moves to the mean of the best runs and gets narrower.

    A list keeps the values that one of the best runs had; of numbers also those between them and the neighbours of
    the best run's. If that one is the first or the last of at least three with equal steps or ratios, the next number
    is added. A value that is left alone is fixed.

    Args:
        distribution: The parameter's.
        best: The values of the best runs, the best one first; values outside of the distribution do not count.
    """
    inside = [value for value in best if _contains(distribution, value)]
    if not inside:
        why = "the values of the best runs are outside of it" if best else "none of the best runs had it"
        return Block({}, f"as it was: {why}")
    if distribution.choices is not None:
        return _list(distribution, distribution.choices, inside)
    traits = distribution.traits
    between = f"the best runs lie between {_shown(min(inside))} and {_shown(max(inside))}"
    step = {"q": traits.step} if distribution.name.startswith("q_") else {}
    if traits.gaussian is None:
        low, high, edges = _bounds(distribution, inside)
        comment = "; ".join(
            [edges or between, f"was {_shown(distribution.support[0])} to {_shown(distribution.support[1])}"]
        )
        return Block({"distribution": traits.bounded, "min": low, "max": high, **step}, comment)
    mu, sigma = traits.gaussian
    places = [distribution.place(value) for value in inside]
    keys = {
        "distribution": distribution.name,
        "mu": float(f"{statistics.fmean(places):.4g}"),
        "sigma": float(f"{min(max(1.5 * statistics.pstdev(places), 0.2 * sigma), sigma):.3g}"),
    }
    return Block({**keys, **step}, f"{between}; mu was {_shown(mu)}, sigma {_shown(sigma)}")


def _contains(distribution: Distribution, value: Any) -> bool:
    try:
        distribution.inverse(value)
    except ValueError:  # of a run from before an update of the config, or of a prior run
        return False
    return True


def _bounds(distribution: Distribution, best: Sequence[Any]) -> tuple[float, float, str]:
    """The new bounds, and which of them moved outwards."""
    traits, (oldest, newest) = distribution.traits, distribution.support

    def value(place: float) -> float:
        return math.exp(min(place, 700.0)) if traits.scale == "log" else float(place)

    start, end = distribution.place(oldest), distribution.place(newest)
    width, at = end - start, distribution.place(best[0])
    first, last = np.quantile([distribution.place(each) for each in best], [0.1, 0.9])
    low = max(value(min(first, at) - _MARGIN * width), oldest)
    high = min(value(max(last, at) + _MARGIN * width), newest)
    edges = []
    if at - start <= _EDGE * width and not traits.closed:
        wanted = value(start - _WIDER * width)
        low = wanted if oldest < 0 else max(wanted, oldest / 2)
        edges.append(("lower", oldest, " (at most halved)" if 0 < low != wanted else ""))
    if end - at <= _EDGE * width and not traits.closed:
        wanted, widest = value(end + _WIDER * width), 2 * newest - oldest
        is_share = oldest >= 0 and newest <= 1 and (traits.step or 0) < 1
        high = min(wanted, widest, (newest + 1) / 2 if is_share else math.inf)
        why = " (at most the old width further)" if high == widest else " (below 1)"
        edges.append(("upper", newest, why if high != wanted else ""))
    if not low < high:  # no other number lies between two neighbours
        low, high = oldest, newest
    low, high = _rounded(low, high if math.isfinite(high) else newest, traits.step, oldest > 0)
    moved = [
        f"the best run is at the {side} edge, {_shown(old)}, "
        f"so it moved to {_shown(low if side == 'lower' else high)}{why}"
        for side, old, why in edges
        if old != (low if side == "lower" else high)
    ]
    return low, high, "; ".join(moved)


def _rounded(low: float, high: float, step: float | None, positive: bool) -> tuple[float, float]:
    """Bounds with as many digits as their distance needs, or as multiples of the step, at least one apart."""
    if step is not None:
        exact = Fraction(repr(step))
        first = max(math.floor(Fraction(repr(low)) / exact), 1 if positive else -math.inf)
        last = max(math.ceil(Fraction(repr(high)) / exact), first + 1)
        number = int if exact.denominator == 1 else float
        return number(first * exact), number(last * exact)
    digits = 3 + max(0, math.ceil(math.log10(max(abs(low), abs(high)) / (high - low))))
    return float(f"{low:.{digits}g}"), float(f"{high:.{digits}g}")


def _list(distribution: Distribution, values: Sequence[Any], best: Sequence[Any]) -> Block:
    keep = {identity(value) for value in best}
    added = None
    if distribution.traits.scale == "rank":
        ranked = sorted(values)
        places = [place for place, value in enumerate(ranked) if identity(value) in keep]
        at = ranked.index(best[0])
        keep = {identity(value) for value in ranked[max(min(places[0], at - 1), 0) : max(places[-1], at + 1) + 1]}
        added = _next_number(ranked, best[0])
    pairs = list(zip(values, distribution.weights() or (), strict=True))
    kept = [(value, weight) for value, weight in pairs if identity(value) in keep]
    dropped = [_shown(value) for value in values if identity(value) not in keep]
    said = [f"without {', '.join(dropped)}, which none of the best runs had" if dropped else "all values stay"]
    if added is not None:
        place = 0 if identity(kept[0][0]) == identity(best[0]) else len(kept)
        kept.insert(place, (added, min(weight for _, weight in kept)))
        said.insert(0, f"widened to {_shown(added)}, as the best run is at the edge, {_shown(best[0])}")
    if len(kept) == 1:
        return Block({"value": kept[0][0]}, f"fixed, as all of the best runs had it; {said[0]}")
    keys: dict[str, Any] = {"values": [value for value, _ in kept]}
    if not distribution.traits.even:
        total = sum(weight for _, weight in kept)
        keys["probabilities"] = [float(f"{weight / total:.9g}") for _, weight in kept]
    return Block(keys, "; ".join(said))


def _next_number(ranked: Sequence[Any], best: Any) -> Any:
    """The number after the best run's, if that is an end of a list with equal steps or ratios; else ``None``."""
    if len(ranked) < 3 or best not in (ranked[0], ranked[-1]):
        return None
    after, inner, edge = ranked[-3:] if best == ranked[-1] else ranked[2::-1]
    if after * inner > 0 and math.isclose(edge / inner, inner / after, rel_tol=1e-6):
        found = edge * edge / inner
    elif math.isclose(edge - inner, inner - after, rel_tol=1e-6):
        found = 2 * edge - inner
    else:
        return None
    whole = all(isinstance(value, int) for value in ranked)
    if whole and found != int(found):
        return None
    found = int(found) if whole else float(f"{found:.12g}")
    other_sign = found <= 0 < ranked[0] or found < 0 <= ranked[0]
    is_share = not whole and ranked[0] >= 0 and ranked[-1] <= 1
    return None if other_sign or (is_share and found >= 1) else found


def _shown(value: Any) -> str:
    """A value in a comment: text in quotes, long ones shortened."""
    return (
        number(value) if isinstance(value, float) else one_line(json.dumps(value, ensure_ascii=False, default=str), 60)
    )


def _next(config: SweepConfig, program: str | None, sweep_id: str | None) -> dict[str, Any]:
    """The config of the next sweep, with the parameters as they are."""
    raw = copy.deepcopy({key: value for key, value in config.raw.items() if key != "scheduler" and value is not None})
    raw["method"] = "bayes"
    if program is not None and "program" in raw:
        raw["program"] = program
    if config.name and not config.name.endswith(" (refined)"):
        raw["name"] = f"{config.name} (refined)"
    options = {key: value for key, value in raw.pop("lightsweep", {}).items() if key not in _NOT_NEXT}
    if sweep_id and len(config.metrics) == 1:
        options["prior_runs"] = [sweep_id]
    return {**raw, "lightsweep": options} if options else raw


def _of_best(scored: Scores, config: SweepConfig, top: float) -> tuple[int, list[SweepRun], list[str]]:
    """Return the number of runs that count, the best of them, the best one first, and what the heading says."""
    sign, count = -1 if scored.goal == "maximize" else 1, len(scored.runs)
    ranked = sorted(zip(scored.values, scored.runs, strict=True), key=lambda pair: (sign * pair[0], pair[1].id))
    best = [run for _, run in ranked[: max(_LEAST_TOP, round(top * count))]]
    thing = "group" if config.repeats > 1 else "run"
    return (
        count,
        best,
        [
            f"the best {len(best)} of {counted(count, thing)} by {scored.metric}.",
            f"The best, {thing} {best[0].id}: {scored.metric} {number(ranked[0][0])}.",
        ],
    )


def _of_fronts(runs: Sequence[SweepRun], config: SweepConfig, top: float) -> tuple[int, list[SweepRun], list[str]]:
    """Return the same for several metrics; the first of the best is the most balanced one of the Pareto front.

    Raises:
        LightsweepError: No run has a value of each metric.
    """
    names = " and ".join(metric.name for metric in config.metrics)
    found = pareto_front(runs, config)
    if not found.runs:
        raise LightsweepError(f"no run has ended with a finite value of {names}, so there is nothing to refine")
    points = _unit_scaled(costs(found.values, config))
    # The nearest to the best value of each metric at once, on scales from the best run's to the worst run's.
    first = sorted(found.members, key=lambda index: (math.hypot(*points[index]), found.runs[index].id))
    best, left = list(first), [index for index in range(len(points)) if index not in set(first)]
    while left and len(best) < max(_LEAST_TOP, round(top * len(points))):
        following = [left[index] for index in front([points[index] for index in left])]
        best += following
        left = [index for index in left if index not in set(following)]
    behind = f", and the {counted(len(best) - len(first), 'run')} next to it" if len(best) > len(first) else ""
    values = ", ".join(
        f"{metric.name} {number(value)}" for metric, value in zip(config.metrics, found.values[best[0]], strict=True)
    )
    return (
        len(points),
        [found.runs[index] for index in best],
        [
            f"the Pareto front of {names}, {len(first)} of {counted(len(points), 'run')}{behind}.",
            f"The most balanced one, run {found.runs[best[0]].id}: {values}.",
        ],
    )


def _unit_scaled(rows: Sequence[Sequence[float]]) -> list[tuple[float, ...]]:
    """Return the rows with each column scaled to [0, 1]; 0 in a column whose values are equal."""
    lows, highs = (
        [min(column) for column in zip(*rows, strict=True)],
        [max(column) for column in zip(*rows, strict=True)],
    )
    return [
        tuple((value - low) / ((high - low) or 1.0) for value, low, high in zip(row, lows, highs, strict=True))
        for row in rows
    ]


def commented(raw: Mapping[str, Any], heading: Iterable[str], comments: Mapping[Path, str]) -> str:
    """The YAML of a config.

    Args:
        raw: The config, plain values only.
        heading: Comment lines at the top.
        comments: The comment above a key, by the path of the key from the top.
    """
    opened = {path[:length] for path in comments for length in range(1, len(path))}

    def lines(mapping: Mapping[str, Any], above: Path) -> list[str]:
        found = []
        for key, value in mapping.items():
            path = (*above, key)
            if path in comments:
                found.append(f"# {printable(comments[path])}")
            if path in opened:
                *before, last = _dumped({key: 0})
                found += [*before, last.removesuffix("0").rstrip()]
                found += [f"  {line}" if line else line for line in lines(value, path)]
            else:
                found += _dumped({key: value})
        return found

    return "\n".join([*(f"# {printable(line)}" for line in heading), *lines(raw, ())]) + "\n"


def _dumped(value: Mapping[str, Any]) -> list[str]:
    # No line is folded, so that each can be indented.
    def text(allow_unicode: bool) -> str:
        return yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=allow_unicode, width=2**31)

    # Unicode's other line ends are lost unless they are escaped.
    written = text(True)
    return (written if _LINE_ENDS.isdisjoint(written) else text(False)).removesuffix("\n").split("\n")
