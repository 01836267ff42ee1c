"""The next sweep: the same search in a narrower space, around the best runs of this one."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from lightsweep.analysis.bounds import Bounds, refined_bounds, refined_normal
from lightsweep.analysis.importances import Importance, enough, importance
from lightsweep.analysis.run_scores import Scores, scores
from lightsweep.analysis.words import counted, few_runs, one_line, shown
from lightsweep.controller import PriorRun, SweepRun, check_prior_runs
from lightsweep.errors import LightsweepError, UsageError
from lightsweep.schema import SweepConfig
from lightsweep.space import Distribution, Parameter, identity

__all__ = ["Block", "Refinement", "commented", "fixed", "narrow", "refine"]

_STEP = "  "
_LINE_ENDS = frozenset("\x85\u2028\u2029")


def commented(raw: Mapping[str, Any], heading: Iterable[str], comments: Mapping[tuple[str, ...], str]) -> str:
    """The YAML of a config.

    Args:
        raw: The config, plain values only.
        heading: Comment lines at the top.
        comments: For the path of a parameter the comment above it.
    """
    lines = [_comment(line) for line in heading]
    for key, value in raw.items():
        if key == "parameters" and isinstance(value, Mapping):
            lines.append("parameters:")
            lines += _parameters(value, (), comments, _STEP)
        else:
            lines += _dumped({key: value}, "")
    return "\n".join(lines) + "\n"


def _parameters(
    parameters: Mapping[str, Any], path: tuple[str, ...], comments: Mapping[tuple[str, ...], str], indent: str
) -> list[str]:
    lines: list[str] = []
    for name, block in parameters.items():
        place = (*path, name)
        if place in comments:
            lines.append(indent + _comment(comments[place]))
        below = block.get("parameters") if isinstance(block, Mapping) and place not in comments else None
        if isinstance(below, Mapping):
            lines += _opened(name, indent)
            lines.append(f"{indent}{_STEP}parameters:")
            lines += _parameters(below, place, comments, indent + 2 * _STEP)
        else:
            lines += _dumped({name: block}, indent)
    return lines


def _opened(name: str, indent: str) -> list[str]:
    """The line of a key with a mapping below it."""
    lines = _dumped({name: 0}, indent)
    lines[-1] = lines[-1].removesuffix("0").rstrip()
    return lines


def _dumped(value: Mapping[str, Any], indent: str) -> list[str]:
    # No line is folded, so that each can be indented.
    def text(allow_unicode: bool) -> str:
        return yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=allow_unicode, width=2**31)

    # Unicode's other line ends do not come back as they were unless they are escaped.
    written = text(True)
    if not _LINE_ENDS.isdisjoint(written):
        written = text(False)
    return [indent + line if line else line for line in written.removesuffix("\n").split("\n")]


def _comment(text: str) -> str:
    return f"# {one_line(text)}"


_FEW = 2
"""A value that was tried less often than this has had no chance yet."""


@dataclass(frozen=True)
class Block:
    """A parameter in the next sweep file.

    Attributes:
        keys: What stands below its name.
        comment: What was done and why, in one line.
    """

    keys: dict[str, Any]
    comment: str


def fixed(value: Any, why: str) -> Block:
    """The parameter at one value."""
    return Block({"value": value}, f"fixed at the best run's value: {why}")


def narrow(
    distribution: Distribution, keys: Mapping[str, Any], best: Any, top: Sequence[Any], tried: Sequence[Any]
) -> Block:
    """The parameter around the values of the best runs.

    Numbers between bounds get bounds around them with a margin, on a logarithmic axis where theirs is one; the
    bound at which the best run lies is moved outwards. Of a list those values stay that a good run had, or that were
    hardly tried. A normal distribution moves and gets narrower.

    Args:
        distribution: The parameter's.
        keys: Its block in the sweep file.
        best: The value of the best run.
        top: The values of the best runs, that of the best one among them.
        tried: The values of all runs.
    """
    if distribution.choices is not None:
        return _choices(distribution, keys, best, top, tried)
    traits = distribution.traits
    rest = {"q": traits.step} if distribution.name.startswith("q_") else {}
    if traits.gaussian is not None:
        mu, sigma, comment = refined_normal(*traits.gaussian, traits.scale == "log", top)
        return Block({"distribution": distribution.name, "mu": mu, "sigma": sigma, **rest}, comment)
    low, high = map(float, distribution.support)
    old = Bounds(low, high, log=traits.scale == "log", step=traits.step, closed=traits.closed)
    new, comment = refined_bounds(old, float(best), [float(value) for value in top])
    return Block({"distribution": traits.bounded, "min": new[0], "max": new[1], **rest}, comment)


def _choices(
    distribution: Distribution, keys: Mapping[str, Any], best: Any, top: Sequence[Any], tried: Sequence[Any]
) -> Block:
    values = list(distribution.choices or ())
    keep = _kept(distribution, values, best, top, tried)
    kept = [value for value, stays in zip(values, keep, strict=True) if stays]
    weights = [weight for weight, stays in zip(distribution.weights() or (), keep, strict=True) if stays]
    dropped = [value for value, stays in zip(values, keep, strict=True) if not stays]
    comment = (
        f"without {', '.join(map(shown, dropped))}: none of the best runs had {'them' if len(dropped) > 1 else 'it'}"
        if dropped
        else "all values stay: the best runs are spread over them, or they were hardly tried"
    )
    added = _beyond(values, best, top) if distribution.ordered else None
    if added is not None:
        kept = [added, *kept] if added < values[0] and values[0] < values[-1] else [*kept, added]
        weights = [*weights, min(weights)] if kept[-1] is added else [min(weights), *weights]
        comment = f"widened to {shown(added)}, as the best run is at the edge, {shown(best)}; {comment}"
    if len(kept) == 1:
        return Block({"value": kept[0]}, f"fixed, as all of the best runs had it; {comment}")
    block: dict[str, Any] = {"values": kept}
    if not distribution.traits.even:
        block = {"distribution": distribution.name, **block, "probabilities": _probabilities(weights)}
    elif "distribution" in keys:
        block = {"distribution": distribution.name, **block}
    return Block(block, comment)


def _kept(
    distribution: Distribution, values: Sequence[Any], best: Any, top: Sequence[Any], tried: Sequence[Any]
) -> list[bool]:
    """Which values stay."""
    good = {identity(value) for value in top}
    times: dict[Any, int] = {}
    for value in tried:
        times[identity(value)] = times.get(identity(value), 0) + 1
    if not distribution.ordered:
        return [identity(value) in good or times.get(identity(value), 0) < _FEW for value in values]
    ranked = sorted(values)
    places = sorted(place for place, value in enumerate(ranked) if identity(value) in good)
    at = next(place for place, value in enumerate(ranked) if identity(value) == identity(best))
    first, last = min(places[0], at - 1), max(places[-1], at + 1)  # and the best one's neighbours
    return [first <= ranked.index(value) <= last for value in values]


def _beyond(values: Sequence[Any], best: Any, top: Sequence[Any]) -> Any:
    """The number that goes on with a list beyond the edge at which the best runs are; ``None`` for none."""
    ranked = sorted(values)
    if len(ranked) < 3 or best not in (ranked[0], ranked[-1]) or 2 * sum(value == best for value in top) < len(top):
        return None
    up = best == ranked[-1]
    edge, inner, after = (ranked[-1], ranked[-2], ranked[-3]) if up else (ranked[0], ranked[1], ranked[2])
    if 0 not in (inner, after) and ranked[0] > 0 and abs(edge / inner - inner / after) < 1e-6 * abs(edge / inner):
        found = edge * edge / inner
    elif abs((edge - inner) - (inner - after)) < 1e-6 * abs(edge - inner):
        found = edge + (edge - inner)
    else:
        return None
    if all(isinstance(value, int) for value in ranked):
        if found != int(found):
            return None
        found = int(found)
    else:
        found = float(f"{found:.12g}")
    sign_kept = found > 0 if ranked[0] > 0 else found >= 0 if ranked[0] == 0 else True
    is_share = ranked[0] >= 0 and ranked[-1] <= 1 and not all(isinstance(value, int) for value in ranked)
    return found if sign_kept and not (is_share and found >= 1) else None


def _probabilities(weights: Sequence[float]) -> list[float]:
    """The weights, scaled to a sum of 1 to within rounding."""
    total = sum(weights)
    return [float(f"{weight / total:.9g}") for weight in weights]


LEAST_RUNS = 10
"""With fewer runs nothing is narrowed."""

_LEAST_TOP = 3
_NOT_NEXT = {"prior_runs", "stages"}  # of the lightsweep block
_UNIMPORTANT = 0.04
_GOOD_FIT = 0.3


@dataclass(frozen=True)
class Refinement:
    """A sweep file for the next sweep.

    Attributes:
        text: The YAML, with comments.
        config: What it holds.
        notes: What a reader should know before using it.
    """

    text: str
    config: dict[str, Any]
    notes: tuple[str, ...]


def refine(
    runs: Sequence[SweepRun],
    config: SweepConfig,
    top: float = 0.2,
    *,
    sweep_id: str | None = None,
    program: str | None = None,
) -> Refinement:
    """A sweep file with method bayes whose ranges and values are those of the best runs.

    Finished runs count, and those that were stopped early, by their best value of the first metric. The best ones are
    the share ``top`` of them, three at least. See :func:`narrow` for what becomes of each
    parameter. One that made no difference among the better half of the runs (less than 4 % of the importance of all,
    in a forest that explains 30 % or more, from runs enough to say so) is fixed at the best run's value; never the most
    important one. The worse half is left out there, since what it shows is how to avoid bad runs. With fewer than ten
    runs nothing is narrowed. The result is always the same for the same runs.

    Args:
        runs: The runs of one sweep.
        config: Its config.
        top: The share of the runs that are the best ones, above 0 and up to 1.
        sweep_id: Whose runs they are: the next sweep begins with them, if there is one metric to compare them by.
        program: What ``program`` becomes; as it was by default.

    Raises:
        UsageError: ``top`` is no such share, the sweep has no metric, or its parameters are defined by a function.
        LightsweepError: No run has a value of the metric.
    """
    if not 0 < top <= 1:
        raise UsageError(f"top is the share of the runs that count as the best, above 0 and up to 1, not {top:g}")
    if config.metric is None:
        raise UsageError("the sweep has no metric, so none of its runs are the best")
    if not config.space.parameters or (config.scheduler is not None and config.scheduler.search_space):
        raise UsageError("the parameters of this sweep are defined by a function, so change that function instead")
    scored = scores(runs, config)
    if not scored.runs:
        raise LightsweepError(f"no run has ended with a finite {scored.metric!r}, so there is nothing to refine")
    ordered = _ordered(scored)
    best, count = ordered[0], min(max(_LEAST_TOP, round(top * len(ordered))), len(ordered))
    raw = _next(config, program, sweep_id)
    notes = list(scored.notes)
    if len(ordered) < LEAST_RUNS:
        notes.append(f"{few_runs(len(ordered))} to narrow anything: the ranges are as they were")
    if not config.is_flat:
        notes.append("the stages are left out: the refined sweep searches all parameters at once")
    blocks = _blocks(config, ordered, count)
    comments = {}
    for parameter in config.space.searched:
        block = blocks[parameter.name]
        group, name = _place(raw, parameter)
        if block.keys:
            group[name] = block.keys
        comments[parameter.path] = block.comment
    next_config = SweepConfig.load(raw)
    if next_config.options.prior_runs:
        priors = [PriorRun(sweep_id or "", config.metric.name, run) for run in runs]
        try:  # as when the sweep is created, so that no file is written which is refused then
            check_prior_runs(next_config, priors)
        except UsageError as error:
            notes.append(f"without the old runs: {error}")
            raw = _without_priors(raw)
    if next_config.ends is None:
        notes.append("nothing ends this sweep by itself: set run_cap, or give the agent --count")
    heading = _heading(config, scored, best, count, sweep_id)
    return Refinement(commented(raw, [*heading, *(f"Note: {note}." for note in notes)], comments), raw, tuple(notes))


def _ordered(scored: Scores) -> list[SweepRun]:
    """The best run first; of equals the earlier."""
    sign = -1 if scored.goal == "maximize" else 1
    pairs = sorted(zip(scored.values, scored.runs, strict=True), key=lambda pair: (sign * pair[0], pair[1].id))
    return [run for _, run in pairs]


def _blocks(config: SweepConfig, ordered: Sequence[SweepRun], count: int) -> dict[str, Block]:
    """What becomes of each searched parameter; of several one is searched on at least."""
    searched = config.space.searched
    if len(ordered) < LEAST_RUNS:
        few = few_runs(len(ordered))
        return {parameter.name: Block({}, f"as it was: {few} to narrow it") for parameter in searched}
    best = ordered[0].values
    blocks = {}
    for parameter in searched:
        of_all = [run.values[parameter.name] for run in ordered]
        keys = _keys(config.raw, parameter)
        blocks[parameter.name] = narrow(parameter.distribution, keys, best[parameter.name], of_all[:count], of_all)
    settled = {name for name, block in blocks.items() if "value" in block.keys}
    if len(settled) == len(blocks):
        return blocks | _kept_open(config, ordered)
    # The next sweep has only runs with what is fixed by now, so those alone say what makes a difference in it.
    alike = [run for run in ordered if all(identity(run.values[name]) == identity(best[name]) for name in settled)]
    left = [name for name in blocks if name not in settled]
    return blocks | _unimportant(config, alike, left)


def _unimportant(config: SweepConfig, ordered: Sequence[SweepRun], names: Sequence[str]) -> dict[str, Block]:
    """Those of the parameters that made no difference among the better half of the runs, never the one that made most.

    Nothing where that half is too small, or its forest explains too little, to act on it.
    """
    better = ordered[: len(ordered) // 2]
    if not enough(len(better), len(names)) or (found := _measured(better, config)) is None:
        return {}
    if found.fit is None or found.fit < _GOOD_FIT:
        return {}
    limit = min(_UNIMPORTANT, 0.5 / len(names))
    _, *others = [each for each in found.parameters if each.name in names]
    return {
        each.name: fixed(
            ordered[0].values[each.name],
            f"among the better runs it made no difference (importance {each.share:.1%})",
        )
        for each in others
        if each.share is not None and each.share < limit
    }


def _kept_open(config: SweepConfig, ordered: Sequence[SweepRun]) -> dict[str, Block]:
    """The most important parameter, where every one has come to a single value: something has to be searched."""
    if not config.space.searched:
        return {}
    found = _measured(ordered, config)
    name = found.parameters[0].name if found is not None else config.space.searched[0].name
    why = f"all of the best runs had {shown(ordered[0].values[name])}, but every other parameter is fixed already"
    return {name: Block({}, f"as it was: {why}")}


def _measured(runs: Sequence[SweepRun], config: SweepConfig) -> Importance | None:
    try:
        return importance(runs, config)
    except UsageError:  # without scikit-learn nothing is known of it
        return None


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


def _without_priors(raw: dict[str, Any]) -> dict[str, Any]:
    options = {key: value for key, value in raw["lightsweep"].items() if key != "prior_runs"}
    return {
        **{key: value for key, value in raw.items() if key != "lightsweep"},
        **({"lightsweep": options} if options else {}),
    }


def _place(raw: dict[str, Any], parameter: Parameter) -> tuple[dict[str, Any], str]:
    """The mapping in which a parameter stands, and its key there."""
    group = raw["parameters"]
    for name in parameter.path[:-1]:
        group = group[name]["parameters"]
    return group, parameter.path[-1]


def _keys(raw: dict[str, Any], parameter: Parameter) -> Mapping[str, Any]:
    group, name = _place(raw, parameter)
    keys: Mapping[str, Any] = group[name]
    return keys


def _heading(config: SweepConfig, scored: Scores, best: SweepRun, count: int, sweep_id: str | None) -> list[str]:
    whose = f"sweep {sweep_id}" if sweep_id else "a sweep"
    value = scored.values[scored.runs.index(best)]
    lines = [
        f"Refined from {whose}: around the best {count} of {counted(len(scored.runs), 'run')} by {scored.metric}.",
        f"The best, run {best.id}: {scored.metric} {shown(float(value))}.",
    ]
    if len(config.metrics) > 1:
        lines.append("The sweep has several metrics; the runs were compared by the first.")
    return lines
