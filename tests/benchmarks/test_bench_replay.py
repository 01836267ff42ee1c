"""The replay of stopping rules on recorded curves."""

from __future__ import annotations

from benchmarks.search.curves import CURVES, table
from benchmarks.search.replay import replay


def test_recorded_curves_have_the_shape_of_their_problem() -> None:
    found = [task for task in CURVES.values() if task.recorded.exists()]
    assert len(found) >= 8
    for task in found:
        curves = table(task.name)
        assert curves.losses.shape == (task.configurations, task.iterations)
        assert len(curves.values) == task.configurations
        assert set(curves.values[0]) == set(task.parameters)


def test_without_a_rule_all_is_trained_and_with_halving_most_is_not() -> None:
    none, halving = (replay("ratings-factors", rule, workers=16, order=0) for rule in ("none", "halving"))
    assert (none.total, none.missed) == (10_000, False)
    assert none.reached < none.total
    assert halving.total < 0.2 * none.total
    assert replay("ratings-factors", "halving", workers=16, order=0) == halving
