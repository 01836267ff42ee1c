"""Describe a sweep in words: the text of ``lightsweep check``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from lightsweep.schema.config import SweepConfig
from lightsweep.schema.distributions import count, spelt
from lightsweep.schema.points import condition_text
from lightsweep.space import Space
from lightsweep.text import counted, one_line, parameters, printable, shortened

WIDTH = 80
LABEL = 10  # columns of the words at the left
FIRST = 5  # configurations to begin with, of more
LEAST_RANGE = 15  # columns of the table's ranges, however long the names are


def explain(config: SweepConfig, *, whole: bool = False, width: int = WIDTH) -> str:
    """Describe the sweep in plain text, without a line end at the end.

    Name, method, metric, the parameters as a table, the number of points, the bands of early termination, the stages,
    what ends the sweep, and the warnings.

    Args:
        config: The config.
        whole: Continue a long range of the table on more lines, and cut no name; otherwise both are shortened to fit.
        width: Columns of the table; sentences keep to 80.
    """
    lines = entry("sweep", config.name or "without a name")
    if config.description:
        lines += entry("", config.description)
    lines += entry("method", _method(config))
    for metric in config.metrics:
        target = metric.target if metric is config.metric else None
        aim = "" if target is None else f"; the target is {target:g}"
        lines += entry("metric", f"{metric.goal} {metric.name}{aim}")
    lines += entry("space", _space(config))
    lines += ["", *_table(config.space, whole, width), ""] if config.space.parameters else []
    for name, parents in config.space.when.items():
        lines += entry("when", f"{condition_text(parents)}: {name}")
    if config.rule is not None:
        lines += entry("stopping", config.rule.text)
    if config.options.repeats is not None:
        each, seed = config.options.repeats.count, config.options.repeats.seed
        lines += entry(
            "repeats",
            f"{each} runs with the same values and different seeds, as the parameter {seed}; scored by the mean",
        )
    if config.options.prior_runs:
        lines += entry("begins", f"with the runs of {', '.join(config.options.prior_runs)}")
    for number, first in enumerate(config.options.first[:FIRST], start=1):
        chosen = "" if config.space.is_whole(first) else "; the others as the method chooses them"
        lines += entry(f"run {number}", f"{parameters(first, first)}{chosen}")
    if len(config.options.first) > FIRST:
        lines += entry("", f"and {len(config.options.first) - FIRST} more configurations")
    for constraint in config.options.constraints:
        lines += entry("must keep", str(constraint))
    if config.options.stand_in:
        lines += entry("stand-in", f"runs that import {config.options.stand_in} find lightsweep")
    for label, text in config.outline:
        lines += entry(label, text)
    lines += entry("ends", _end(config))
    for warning in config.warnings:
        place = f"line {warning.line}: " if warning.line else ""
        lines += entry("warning", f"{place}{warning.where}: {warning.message}")
    return "\n".join(lines)


def entry(label: str, text: str) -> list[str]:
    """Return the lines of a labelled text, as `explain` has them."""
    text = printable(text)
    indent = " " * LABEL
    return textwrap.wrap(
        text, WIDTH, initial_indent=label.ljust(LABEL), subsequent_indent=indent, break_on_hyphens=False
    ) or [label]


def _method(config: SweepConfig) -> str:
    if config.method == "custom" and config.scheduler is not None:
        return f"custom: {config.scheduler.engine}, {config.scheduler.source or 'its default sampler'}"
    sampler = f", sampler {config.options.sampler}" if "bayes" in config.method_text else ""
    seed = "" if config.options.seed is None or config.method_text == "grid" else f", seed {config.options.seed}"
    return f"{config.method_text}{sampler}{seed}"


def _space(config: SweepConfig) -> str:
    space = config.space
    if config.scheduler is not None and config.scheduler.search_space:
        return f"defined by {config.scheduler.search_space} in {config.scheduler.source}"
    searched, fixed = len(space.searched), len(space.parameters) - len(space.searched)
    parts = [f"{counted(searched, 'parameter')} to search"] + ([f"{fixed} fixed"] if fixed else [])
    grid = "grid " if config.method == "grid" and config.is_flat else ""
    return f"{' and '.join(parts)}: {count(space.size)} {grid}point{'' if space.size == 1 else 's'}"


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
        lines = textwrap.wrap(values, ranges, break_on_hyphens=False, break_long_words=False) or [""]
        first, *more = lines if whole else [shortened(values, ranges)]
        # Names in one group differ at their ends.
        left = [one_line(name, names, end=2).ljust(names), shortened(what, kinds).ljust(kinds), first.ljust(ranges)]
        yield "  ".join(["", *left, number.rjust(sizes)])
        yield from (" " * (names + kinds + 6) + line for line in more)


def _end(config: SweepConfig) -> str:
    if config.ends is None:
        return "never by itself; set run_cap, or give its agents a count"
    only_target = config.endless and config.options.stop_when is None
    return config.ends + ("; if no run reaches it, the sweep never ends by itself" if only_target else "")
