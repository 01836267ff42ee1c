"""The data that all figures of a report are made from: the runs of a sweep, and an axis for each parameter."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path

from lightsweep.agents.apply import argument_text
from lightsweep.analysis import Importance, importance, never_read
from lightsweep.controller import Sweep, SweepRun, best_run
from lightsweep.controller.summary import PartView, part_views
from lightsweep.errors import CommandError, UsageError
from lightsweep.report.axis import STATES, Axis, clamped, label, make_axis
from lightsweep.schema import SweepConfig
from lightsweep.space import identity


@dataclass(frozen=True)
class ReportData:
    """A sweep as of one moment.

    Attributes:
        config: The sweep's config.
        runs: The runs that the sweep began, in the order of their ids; the index of a run is its row on the page.
        axes: One for each parameter that is searched or that differed between runs, by name.
        best: The best run; ``None`` if no run has a finite value.
        parts: The stages, if the sweep has some and they were given.
        priors: The runs of other sweeps that it began with. They appear in no figure; only parameter importance uses
            them.
        now: The moment, with a time zone; running runs have lasted until then.
        unread: The names of the parameters that no run read.
        arguments: The parameters of the best run as arguments for a shell; empty if they are unknown.
    """

    config: SweepConfig
    runs: tuple[SweepRun, ...]
    axes: tuple[Axis, ...]
    best: SweepRun | None
    parts: tuple[PartView, ...] = ()
    priors: tuple[SweepRun, ...] = ()
    now: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    unread: frozenset[str] = frozenset()
    arguments: str = ""

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
        """1 if smaller is better, -1 if greater is."""
        return -1 if self.config.metric and self.config.metric.goal == "maximize" else 1

    @property
    def valued(self) -> list[int]:
        """The indices of the runs with a finite value of the metric."""
        return [index for index, run in enumerate(self.runs) if run.best is not None and math.isfinite(run.best)]

    @cached_property
    def importance(self) -> Importance | str:
        """The importance of the parameters for the metric; the reason in a sentence if there is none."""
        return importance_or_reason([*self.runs, *self.priors], self.config)

    @property
    def ranked(self) -> list[Axis]:
        """The axes, the most important parameter first; those that no run read, or of unknown importance, come last."""
        found = self.importance
        known = {} if isinstance(found, str) else {each.name: each.importance for each in found.parameters}

        def place(axis: Axis) -> tuple[bool, float]:
            amount = known.get(axis.name)
            return axis.name in self.unread, math.inf if amount is None else -amount

        return sorted(self.axes, key=place)

    def named(self, name: str, width: int) -> str:
        """Return the name of a parameter as a figure's label, with a second line if no run read it."""
        return label(name, width) + self.doubt(name)

    def doubt(self, name: str) -> str:
        """Return the second line of a parameter's label; empty if a run read it."""
        return "<br><i>never read</i>" if name in self.unread else ""

    def best_of(self, index: int) -> float:
        """Return the best value of a run; the worst there is for a run without one."""
        best = self.runs[index].best
        return self.sign * math.inf if best is None else best

    def by_state(self, indices: Collection[int]) -> dict[str, list[int]]:
        """Return the runs of each state, the states in the order of their legend; states without runs are left out."""
        found = {state: [index for index in indices if self.runs[index].state == state] for state in STATES}
        return {state: chosen for state, chosen in found.items() if chosen}

    def chosen(self, indices: Sequence[int], most: int, best: int) -> list[int]:
        """Return at most ``most`` of the runs, in their order: the ``best`` best and an even choice of the others."""
        if len(indices) <= most:
            return list(indices)
        first = set(sorted(indices, key=lambda index: self.sign * self.best_of(index))[:best])
        return sorted([*first, *spread([index for index in indices if index not in first], most - best)])

    def sample(self, indices: Sequence[int], most: int, best: int) -> tuple[list[int], str]:
        """Return the same as :meth:`chosen`, and a sentence that says so; empty if they are all of the runs."""
        shown = self.chosen(indices, most, best)
        if len(shown) == len(indices):
            return shown, ""
        return shown, f"The best and an even choice of the others: {len(shown):,} of {len(indices):,} runs."

    def without_best(self) -> str:
        """Say in a sentence why no run is the best; empty if nothing is against it."""
        broken = bool(self.valued) and all(self.runs[index].breaks for index in self.valued)
        return "No run keeps the constraints." if broken else self.without_values()

    def without_values(self) -> str:
        """Say in a sentence why there is nothing to compare; empty if there is something."""
        if self.metric is None:
            return "The sweep has no metric, so its runs cannot be compared."
        if not self.runs:
            return "No run has started yet."
        return "" if self.valued else "No run has logged a finite value of the metric yet."


def importance_or_reason(runs: Sequence[SweepRun], config: SweepConfig) -> Importance | str:
    """Compute the importance for the sweep's metric; if that is impossible, say why in a sentence."""
    try:
        return importance(runs, config)
    except UsageError as error:  # no metric, or scikit-learn is not installed
        return sentence(str(error))


def sentence(text: str) -> str:
    """Return a message as a sentence: with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def report_data(
    config: SweepConfig, runs: Sequence[SweepRun], parts: Sequence[PartView] = (), now: datetime | None = None
) -> ReportData:
    """Prepare a sweep for its figures.

    Values of the metric beyond 1e300 in size are clamped to it. A run that waits for a retry has the state ``waiting``.

    Args:
        config: The sweep's config.
        runs: In the order of their ids, as ``Sweep.runs`` gives them.
        parts: The stages, for a sweep that has some.
        now: The time of the report, with a time zone; the time of the call by default.
    """
    everything = [
        replace(
            run,
            state=run.standing,
            best=None if run.best is None else clamped(run.best),
            history=tuple(map(clamped, run.history)),
        )
        for run in runs
    ]
    own = tuple(run for run in everything if not run.prior)
    declared = {parameter.name: parameter.distribution for parameter in config.space.parameters}
    axes = []
    for name in sorted(config.searched(run.values for run in own)):
        values = [run.values[name] for run in own if name in run.values]
        if name in declared or len(set(map(identity, values))) > 1:
            axes.append(make_axis(name, values, declared.get(name)))
    return ReportData(
        config=config,
        runs=own,
        axes=tuple(axes),
        best=best_run(own, config),
        parts=tuple(parts),
        priors=tuple(run for run in everything if run.prior),
        now=now or datetime.now(timezone.utc),
        unread=never_read(own),
    )


def sweep_data(sweep: Sweep) -> ReportData:
    """Prepare a sweep for its figures, as of the last look at it."""
    data = report_data(sweep.config, sweep.known_runs(), part_views(sweep))
    if data.best is None:
        return data
    with suppress(CommandError):  # such as a value that no argument can hold
        data = replace(data, arguments=argument_text(sweep, data.best))
    return data


def directories_of(run: SweepRun, home: Path) -> list[Path]:
    """Return the directories of a run that are on this machine, the latest last; else its place below ``home``."""
    found = [Path(each) for each in run.directories if Path(each).is_dir()]
    return found or [home / run.id]


def spread(items: Sequence[int], most: int) -> list[int]:
    """Return at most ``most`` of the items, two or more, evenly over their order, with the first and the last."""
    if len(items) <= most:
        return list(items)
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]
