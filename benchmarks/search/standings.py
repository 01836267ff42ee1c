"""What the results say: mean ranks, regret, and the runs that one method needs for what another finds."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.search.driver import Result
from benchmarks.search.problems import HELD_OUT
from benchmarks.tables import Table, judged

__all__ = ["MARKS", "standings"]

MARKS = (5, 10, 20, 30, 50, 100)
_PEERS = ("optuna-tpe", "optuna-gp", "wandb", "smac")
_TARGET = 50
_GOALS = {"optuna-tpe": 0.4, "optuna-gp": 0.7, "wandb": 0.5}
"""Our goal beside a peer: at most this part of 50 runs for what its median search has after 50."""
Floats = npt.NDArray[np.float64]


def standings(results: Sequence[Result]) -> Iterator[Table]:
    """Tables for one worker and for eight: on the problems that nothing was chosen on first, then on all."""
    held_out = {problem.name for problem in HELD_OUT}
    for workers in sorted({result.search.workers for result in results}):
        alike = [result for result in results if result.search.workers == workers]
        kinds = [("held out", [result for result in alike if result.search.problem in held_out])]
        kinds.append(("tuned on", [result for result in alike if result.search.problem not in held_out]))
        for kind, chosen in kinds:
            yield from _tables(chosen, f"{kind}, {workers} worker{'s' if workers > 1 else ''}")


def _tables(results: Sequence[Result], title: str) -> Iterator[Table]:
    methods = sorted({result.search.method for result in results})
    cells: dict[tuple[str, int], dict[str, Floats]] = defaultdict(dict)
    for result in results:
        cells[result.search.problem, result.search.seed][result.search.method] = np.minimum.accumulate(result.losses)
    whole = {key: found for key, found in cells.items() if len(found) == len(methods)}
    if not whole:
        return
    problems = {problem for problem, _ in whole}
    title = f"{title}; {len(problems)} problems, {len(whole)} searches of each method"
    marks = [mark for mark in MARKS if mark <= min(len(best) for found in whole.values() for best in found.values())]
    seconds = {
        method: statistics.fmean(result.seconds for result in results if result.search.method == method)
        for method in methods
    }
    ranks = {mark: _ranks(whole, methods, mark) for mark in marks}
    order = sorted(methods, key=lambda method: statistics.fmean(ranks[mark][method] for mark in marks))
    yield Table(
        f"Mean rank ({title}); 1 is best",
        ["", *(f"after {mark}" for mark in marks), "seconds per proposal"],
        [[name, *(f"{ranks[mark][name]:.2f}" for mark in marks), f"{seconds[name]:.3f}"] for name in order],
    )
    regrets = _regrets(whole, methods, marks, results)
    yield Table(
        f"Normalised regret with 95 % intervals ({title}); 1 is one random run, 0 the best that any method found",
        ["", *(f"after {mark}" for mark in marks)],
        [[name, *regrets[name]] for name in order],
    )
    if _TARGET in marks:
        yield _needed(whole, order, title)


def _ranks(whole: dict[tuple[str, int], dict[str, Floats]], methods: Sequence[str], mark: int) -> dict[str, float]:
    sums: dict[str, list[float]] = defaultdict(list)
    for found in whole.values():
        best = {method: found[method][mark - 1] for method in methods}
        for method in methods:
            better = sum(value < best[method] for value in best.values())
            equal = sum(value == best[method] for value in best.values())
            sums[method].append(better + (equal + 1) / 2)
    return {method: statistics.fmean(each) for method, each in sums.items()}


def _regrets(
    whole: dict[tuple[str, int], dict[str, Floats]],
    methods: Sequence[str],
    marks: Sequence[int],
    results: Sequence[Result],
) -> dict[str, list[str]]:
    floor: dict[str, float] = defaultdict(lambda: math.inf)
    draws: dict[str, list[float]] = defaultdict(list)
    for result in results:
        name = result.search.problem
        floor[name] = min(floor[name], *result.losses)
        if result.search.method == "random":
            draws[name] += result.losses
    scale = {name: (statistics.median(draws[name]) - floor[name]) or 1.0 for name in draws}
    shown = {}
    for method in methods:
        shown[method] = []
        for mark in marks:
            each = [(found[method][mark - 1] - floor[name]) / scale[name] for (name, _), found in whole.items()]
            error = 1.96 * statistics.stdev(each) / len(each) ** 0.5 if len(each) > 1 else 0.0
            shown[method].append(f"{statistics.fmean(each):.3f} ± {error:.3f}")
    return shown


def _needed(whole: dict[tuple[str, int], dict[str, Floats]], methods: Sequence[str], title: str) -> Table:
    """The median part of 50 runs after which a method has what a peer's median search has after 50."""
    rows = []
    for method in methods:
        row = [method]
        for peer in _PEERS:
            parts = []
            for (name, _), found in whole.items():
                if peer not in found:
                    continue
                ends = [other[peer][_TARGET - 1] for (problem, _), other in whole.items() if problem == name]
                reached = np.flatnonzero(found[method] <= statistics.median(ends))
                parts.append((reached[0] + 1) / _TARGET if len(reached) else math.inf)
            row.append(f"{statistics.median(parts):.2f}" if parts else "-")
        rows.append(row)
    ours = next((row for row in rows if row[0] == "lightsweep"), None)
    if ours is not None:
        shown = [(_GOALS.get(peer), cell) for peer, cell in zip(_PEERS, ours[1:], strict=True)]
        verdicts = [
            "" if goal is None or cell == "-" else f"<= {goal:g}: {judged(float(cell), goal)}" for goal, cell in shown
        ]
        rows.append(["our goal", *verdicts])
    return Table(
        f"Runs needed for the median best after 50 runs of a peer, as a part of 50; median over searches ({title})",
        ["", *_PEERS],
        rows,
    )
