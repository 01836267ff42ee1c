"""What a sweep would do, in words: the text of ``lightsweep check``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from lightsweep.hyperband import Hyperband
from lightsweep.schema.config import SweepConfig
from lightsweep.schema.distributions import count, spelt
from lightsweep.schema.sections import Metric
from lightsweep.schema.stages import Stage, most_runs
from lightsweep.space import Space
from lightsweep.text import printable, shortened

__all__ = ["bands_text", "explain"]

WIDTH = 80
LABEL = 10  # columns of the words at the left
LEAST_RANGE = 15  # columns of the table's ranges, however long the names are
BANDS = 5  # how many are shown where there are more


def explain(config: SweepConfig, *, whole: bool = False, width: int = WIDTH) -> str:
    """Describe the sweep in plain text, without a line end at the end.

    Name, method, metric, the parameters as a table, the number of points, the bands of early termination, the stages,
    what ends the sweep, and the warnings.

    Args:
        config: The config.
        whole: Continue a long range of the table on more lines, and cut no name; otherwise both are shortened to fit.
        width: Columns of the table; sentences keep to 80.
    """
    lines = _entry("sweep", config.name or "without a name")
    if config.description:
        lines += _entry("", config.description)
    lines += _entry("method", _method(config))
    for metric in config.metrics:
        lines += _entry("metric", _metric(metric, first=metric is config.metric))
    lines += _entry("space", _space(config))
    lines += ["", *_table(config.space, whole, width), ""] if config.space.parameters else []
    if config.early_terminate is not None:
        lines += _entry("stopping", _hyperband(config.early_terminate))
    if config.options.prior_runs:
        lines += _entry("begins", f"with the runs of {', '.join(config.options.prior_runs)}")
    for stage in config.stages:
        lines += _stage(stage, config)
    lines += _entry("ends", _end(config))
    for warning in config.warnings:
        place = f"line {warning.line}: " if warning.line else ""
        lines += _entry("warning", f"{place}{warning.where}: {warning.message}")
    return "\n".join(lines)


def _entry(label: str, text: str) -> list[str]:
    text = printable(text)
    indent = " " * LABEL
    return textwrap.wrap(
        text, WIDTH, initial_indent=label.ljust(LABEL), subsequent_indent=indent, break_on_hyphens=False
    ) or [label]


def _method(config: SweepConfig) -> str:
    if config.stages:
        *first, last = dict.fromkeys(stage.method for stage in config.stages)
        methods = f"{', '.join(first)} and {last}" if first else last
        stages = "one stage" if len(config.stages) == 1 else f"{len(config.stages)} stages"
        sampler = f", sampler {config.options.sampler}" if "bayes" in methods else ""
        return f"{methods} in {stages}{sampler}{_seed(config)}"
    if config.method == "bayes":
        return f"bayes, sampler {config.options.sampler}{_seed(config)}"
    if config.method == "custom" and config.scheduler is not None:
        return f"custom: {config.scheduler.engine}, {config.scheduler.source or 'its default sampler'}"
    return config.method + (_seed(config) if config.method == "random" else "")


def _seed(config: SweepConfig) -> str:
    return "" if config.options.seed is None else f", seed {config.options.seed}"


def _metric(metric: Metric, *, first: bool) -> str:
    target = "" if metric.target is None or not first else f"; the target is {metric.target:g}"
    return f"{metric.goal} {metric.name}{target}"


def _space(config: SweepConfig) -> str:
    space = config.space
    if config.scheduler is not None and config.scheduler.search_space:
        return f"defined by {config.scheduler.search_space} in {config.scheduler.source}"
    searched, fixed = len(space.searched), len(space.parameters) - len(space.searched)
    parts = [f"{searched} searched parameter{'' if searched == 1 else 's'}"] + ([f"{fixed} fixed"] if fixed else [])
    if space.size is None:
        size = "endless points"
    else:
        grid = "grid " if config.method == "grid" and not config.stages else ""
        size = f"{count(space.size)} {grid}point{'' if space.size == 1 else 's'}"
    return f"{' and '.join(parts)}: {size}"


def _table(space: Space, whole: bool, width: int) -> Iterator[str]:
    rows = [("parameter", "distribution", "range", "values")]
    for parameter in space.parameters:
        distribution, size = parameter.distribution, parameter.distribution.size
        kind = "fixed" if size == 1 else distribution.traits.kind
        cells = (parameter.name, kind, distribution.describe(spelt))
        name, what, values = map(printable, cells)
        rows.append((name, what, values, count(size)))
    names, kinds, ranges, sizes = (max(map(len, column)) for column in zip(*rows, strict=True))
    if not whole:
        kinds = min(kinds, 24)
        names = min(names, max(20, width - kinds - sizes - 8 - min(ranges, LEAST_RANGE)))
    ranges = min(ranges, max(LEAST_RANGE, width - names - kinds - sizes - 8))
    for name, what, values, number in rows:
        first, *more = _wrapped(values, ranges) if whole else [shortened(values, ranges)]
        left = [_middle_cut(name, names).ljust(names), shortened(what, kinds).ljust(kinds), first.ljust(ranges)]
        yield "  ".join(["", *left, number.rjust(sizes)])
        yield from (" " * (names + kinds + 6) + line for line in more)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False) or [""]


def _middle_cut(text: str, width: int) -> str:
    """Shortened in the middle: names in one group differ at their ends."""
    tail = (width - 1) * 2 // 3
    return text if len(text) <= width else f"{text[: width - 1 - tail]}…{text[-tail:]}"


def _hyperband(hyperband: Hyperband) -> str:
    value = "its value at the band" if hyperband.strict else "its best value so far"
    bands = bands_text(hyperband)
    if hyperband.max_iter is None:
        which = f"after {bands} reports of the metric, without end"
    elif bands:
        which = f"after {bands} reports of the metric; max_iter {hyperband.max_iter} itself is no band"
    else:
        which = f"at no band: max_iter {hyperband.max_iter} is too small"
    if hyperband.first(1) == (1,):
        which += ". Band 1 compares the first report of each run, which may be an evaluation before training"
    return f"hyperband {which}. Beyond a band goes about one run in {hyperband.eta:g}, judged by {value}"


def bands_text(hyperband: Hyperband) -> str:
    """The lowest bands, ``"1, 3, 9, 27, 81, ..."``; empty without any."""
    bands = hyperband.first(BANDS + 1)
    return ", ".join(map(str, bands[:BANDS])) + (", ..." if len(bands) > BANDS else "")


def _stage(stage: Stage, config: SweepConfig) -> list[str]:
    size = "endless points" if stage.space.size is None else f"{count(stage.space.size)} points"
    most = "" if stage.most is None else f", at most {count(stage.most)} run{'' if stage.most == 1 else 's'}"
    name = f"stage {stage.number}"
    lines = _entry(name, f"{'' if stage.name == name else f'{stage.name}: '}{stage.method}, {size}{most}")
    lines += _entry("", f"searches {', '.join(stage.searched)}")
    if stage.kept:
        lines += _entry("", f"keeps of the best run before: {', '.join(stage.kept)}")
    searched = {parameter.name for parameter in config.space.searched}
    fixed = [f"{name} {spelt(given)}" for name, given in sorted(stage.given.items()) if name in searched]
    if fixed:
        lines += _entry("", f"fixed: {', '.join(fixed)}")
    if stage.early_terminate is None:
        lines += _entry("", "stops no run early") if config.early_terminate is not None else []
    elif stage.early_terminate != config.early_terminate:
        lines += _entry("", f"stopping: {_hyperband(stage.early_terminate)}")
    return lines


def _end(config: SweepConfig) -> str:
    if config.ends is None:
        return "never by itself; set run_cap, or give the agent --count"
    endless = most_runs(config.stages) is None if config.stages else config.space.size is None
    target_only = config.run_cap is None and endless
    return config.ends + ("; if that is never reached, it never ends by itself" if target_only else "")
