"""How much each benchmark measures."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FULL", "SMALL", "Scale"]


@dataclass(frozen=True)
class Scale:
    """Sizes of a benchmark run.

    Attributes:
        runs: Numbers of finished runs that the storage already holds.
        observations: Number of finished runs for ``bayes``.
        live_runs: How many more runs report, for each of ``runs``.
        repeats: How often a short thing is measured.
        seeds: How many searches each line of the quality table is the mean of.
        budget: Runs of one such search.
    """

    runs: tuple[int, ...]
    observations: int
    live_runs: int
    repeats: int
    seeds: int
    budget: int


FULL = Scale(runs=(100, 1_000, 10_000), observations=1_000, live_runs=8, repeats=20, seeds=10, budget=40)
SMALL = Scale(runs=(20, 50), observations=30, live_runs=2, repeats=3, seeds=1, budget=12)
