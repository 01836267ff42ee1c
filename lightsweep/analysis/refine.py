"""The next sweep: the same search in a narrower space, around the best runs of this one."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightsweep.analysis.importance import Importance, enough, importance
from lightsweep.analysis.narrow import Block, fixed, narrow
from lightsweep.analysis.scores import Scores, scores
from lightsweep.analysis.sweepfile import commented
from lightsweep.analysis.words import counted, shown
from lightsweep.controller import SweepRun
from lightsweep.errors import LightsweepError, UsageError
from lightsweep.schema import SweepConfig
from lightsweep.space import Parameter

__all__ = ["Refinement", "refine"]

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
    the share ``top`` of them, three at least. See :func:`lightsweep.analysis.narrow.narrow` for what becomes of each
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
        notes.append(f"{counted(len(ordered), 'run')} are too few to narrow anything: the ranges are as they were")
    if config.stages:
        notes.append("the stages are left out: the refined sweep searches all parameters at once")
    blocks = _blocks(config, ordered, count, _measured(ordered, config))
    comments = {}
    for parameter in config.space.searched:
        block = blocks[parameter.name]
        group, name = _place(raw, parameter)
        if block.keys:
            group[name] = block.keys
        comments[parameter.path] = block.comment
    next_config = SweepConfig.load(raw)
    if next_config.ends is None:
        notes.append("nothing ends this sweep by itself: set run_cap, or give the agent --count")
    heading = _heading(config, scored, best, count, sweep_id)
    return Refinement(commented(raw, [*heading, *(f"Note: {note}." for note in notes)], comments), raw, tuple(notes))


def _ordered(scored: Scores) -> list[SweepRun]:
    """The best run first; of equals the earlier."""
    sign = -1 if scored.goal == "maximize" else 1
    pairs = sorted(zip(scored.values, scored.runs, strict=True), key=lambda pair: (sign * pair[0], pair[1].id))
    return [run for _, run in pairs]


def _measured(ordered: Sequence[SweepRun], config: SweepConfig) -> Importance | None:
    """The importance among the better half of the runs, where it is sound enough to act on it."""
    better = ordered[: len(ordered) // 2]
    if not enough(len(better), len(config.space.searched)):
        return None
    try:
        found = importance(better, config)
    except UsageError:  # without scikit-learn nothing is fixed
        return None
    return found if found.fit is not None and found.fit >= _GOOD_FIT else None


def _blocks(
    config: SweepConfig, ordered: Sequence[SweepRun], count: int, measured: Importance | None
) -> dict[str, Block]:
    best = ordered[0]
    searched = config.space.searched
    limit = min(_UNIMPORTANT, 0.5 / len(searched)) if searched else 0.0
    blocks = {}
    for parameter in searched:
        name = parameter.name
        of_all = [run.values[name] for run in ordered]
        share = measured[name].share if measured is not None else None
        if len(ordered) < LEAST_RUNS:
            blocks[name] = Block({}, f"as it was: {counted(len(ordered), 'run')} are too few to narrow it")
        elif measured is not None and share is not None and share < limit and measured.parameters[0].name != name:
            blocks[name] = fixed(
                best.values[name], f"among the better runs it made no difference (importance {share:.1%})"
            )
        else:
            keys = _keys(config.raw, parameter)
            blocks[name] = narrow(parameter.distribution, keys, best.values[name], of_all[:count], of_all)
    return blocks


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
