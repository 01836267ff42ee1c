"""The replay of stopping rules on recorded curves."""

from __future__ import annotations

from benchmarks.search.curves import CURVES, table
from benchmarks.search.replay import ORACLE, Replay, replay, tables


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


def test_no_rule_needs_fewer_epochs_than_the_one_that_knows_the_best_run() -> None:
    for workers in (1, 16):
        oracle = replay("ratings-factors", ORACLE, workers=workers, order=0)
        others = [replay("ratings-factors", rule, workers=workers, order=0) for rule in ("none", "expected", "halving")]
        assert 0 < oracle.reached <= min(each.reached for each in others)
        # Each configuration has an epoch, and one of them all.
        assert oracle.total == 199 + 50


def test_each_goal_is_said_to_be_met_or_missed() -> None:
    def replays(expected: int, missed: bool) -> list[Replay]:
        reached = {"none": 1200, "wandb-hyperband": 200, "expected": expected}
        return [
            Replay("made", rule, 16, 0, epochs, epochs, 1200, missed and rule == "expected")
            for rule, epochs in reached.items()
        ]

    (good,) = tables(replays(100, missed=False), [16])
    assert good.splitlines()[-1] == (
        "expected: 12.0 times fewer epochs than without a rule (our goal >= 12: met); 0.50 of those of wandb-hyperband "
        "(our goal <= 0.5: met); best stopped in 0.0 % (our goal <= 2 %: met)"
    )
    (bad,) = tables(replays(101, missed=True), [16])
    assert bad.splitlines()[-1].count(": missed") == 3
    (alone,) = tables(replays(100, missed=False)[:2], [16])
    assert "goal" not in alone
