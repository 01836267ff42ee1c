"""Repeats: the same values under several seeds, scored by the mean, skipped if hopeless, the same for all agents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from controller_helpers import claim, config, loss_of, work, working

from lightsweep.controller import ClaimedRun, Outcome, Sweep, best_run
from lightsweep.controller.changes import retry_runs, update_config
from lightsweep.controller.observations import observations
from lightsweep.controller.repeats import Group, groups, repeat_seed
from lightsweep.controller.reports import Reporter
from lightsweep.controller.summary import group_views, part_documents, summarize
from lightsweep.errors import UsageError
from lightsweep.storage import Storage

GRID = {"a": {"values": [1, 2, 3, 4]}}


def repeated(parameters: Any = None, count: Any = 3, **keys: Any) -> dict[str, Any]:
    method = "grid" if parameters else "random"
    return config(parameters, **{"method": method, "lightsweep": {"repeats": count, "seed": 5}, **keys})


def made(storage: Storage, *args: Any, **keys: Any) -> Sweep:
    return Sweep.create(repeated(*args, **keys), storage=storage)


def noisy(step: float = 0.01, state: str = "finished") -> Callable[[ClaimedRun, Reporter], Outcome]:
    """Losses that differ by the values, and a little between the repeats: 0, 1 and 2 steps."""

    def train(run: ClaimedRun, reporter: Reporter) -> Outcome:
        assert run.repeat is not None
        values = {name: value for name, value in run.values.items() if name != "seed"}
        reporter.report(run, {"loss": loss_of(values) + step * (run.repeat.repeat - 1)})
        return Outcome(state, "")

    return train


def known(sweep: Sweep) -> list[Group]:
    sweep.refresh()
    return groups(sweep.known_entries(), sweep.config)


def places(runs: list[ClaimedRun]) -> list[tuple[int, int]]:
    return [(run.repeat.point, run.repeat.repeat) for run in runs if run.repeat]


def test_every_point_of_a_grid_has_all_repeats_unless_it_is_hopeless(storage: Storage) -> None:
    sweep = made(storage, GRID)
    done = work(sweep, noisy())
    assert places(done) == [(0, 1), (0, 2), (0, 3), (1, 1), (2, 1), (3, 1)]
    assert [run.values["a"] for run in done] == [1, 1, 1, 2, 3, 4]
    assert str(sweep.state) == "finished (all 4 points of the grid)"
    first, second, *_ = known(sweep)
    assert (first.id, first.state, str(first.score)) == ("0001", "complete", "1.01 ± 0.01 (3 runs)")
    assert (second.id, second.state, str(second.score)) == ("0004", "skipped", "2 (1 run)")
    assert second.skipped == (
        "2 repeats skipped: even with 1.98 in each (its best less 2 deviations of 0.01), the mean would be 1.9867, "
        "behind the best 1.01"
    )


def test_close_groups_have_all_repeats(storage: Storage) -> None:
    sweep = made(storage, GRID)
    done = work(sweep, noisy(step=5.0))
    assert Counter(point for point, _ in places(done)) == {0: 3, 1: 3, 2: 3, 3: 3}
    assert [group.state for group in known(sweep)] == ["complete"] * 4


def test_a_goal_to_maximize(storage: Storage) -> None:
    sweep = made(storage, GRID, metric={"name": "loss", "goal": "maximize"})
    assert places(work(sweep, noisy())) == [(point, repeat) for point in range(4) for repeat in (1, 2, 3)]
    assert best_run(sweep.runs, sweep.config).values["a"] == 4  # type: ignore[union-attr]
    backwards = made(storage, {"a": {"values": [4, 3, 2, 1]}}, metric={"name": "loss", "goal": "maximize"})
    assert places(work(backwards, noisy())) == [(0, 1), (0, 2), (0, 3), (1, 1), (2, 1), (3, 1)]
    assert "plus 2 deviations" in known(backwards)[1].skipped


def test_seeds_are_the_same_in_each_group_and_reach_the_script(storage: Storage) -> None:
    sweep = made(storage, GRID)
    done = work(sweep, noisy(step=5.0))
    seeds = [repeat_seed(5, number) for number in (1, 2, 3)]
    assert len(set(seeds)) == 3
    assert [run.values["seed"] for run in done] == seeds * 4
    assert all(run.config["seed"] == run.values["seed"] for run in done)
    assert [run.values["seed"] for run in sweep.runs] == seeds * 4
    again = made(storage, GRID)
    assert [run.values for run in work(again, noisy(step=5.0))] == [run.values for run in done]


def test_the_seed_may_have_another_name(storage: Storage) -> None:
    sweep = made(storage, GRID, count={"count": 2, "seed": "data.fold_seed"})
    with working(sweep) as (dealer, *_):
        run = claim(dealer)
        assert run.config == {"a": 1, "data": {"fold_seed": repeat_seed(5, 1)}}
        assert sweep.config.searched([run.values]) == ["a"]
        assert sweep.config.names([run.values]) == ["a", "data.fold_seed"]


def test_points_are_those_of_a_sweep_without_repeats(storage: Storage) -> None:
    plain = Sweep.create(config(run_cap=2, lightsweep={"seed": 5}), storage=storage)
    points = [run.values for run in work(plain, lambda *_: Outcome("finished"))]
    done = work(made(storage, run_cap=6), noisy(step=5.0))
    values = [{"x": run.values["x"]} for run in done]
    assert values == [points[0]] * 3 + [points[1]] * 3


def test_the_cap_counts_runs_and_no_group_begins_that_it_would_cut(storage: Storage) -> None:
    sweep = made(storage, run_cap=4)
    with working(sweep) as (dealer, reporter, _):
        first, second = claim(dealer), claim(dealer)  # the second has no group to repeat yet
        assert places([first, second]) == [(0, 1), (1, 1)]
        third = claim(dealer)  # two runs are left, and four repeats
        assert places([third]) == [(0, 2)]
        for run in (first, second, third):
            reporter.report(run, {"loss": 1.0})
            reporter.finish(run, Outcome("finished"))
        assert places([claim(dealer)]) == [(0, 3)]
        assert sweep.plan.limit() == (4, "run_cap 4")


def test_two_agents_never_take_the_same_repeat(storage: Storage) -> None:
    sweep = made(storage, {"a": {"values": [1, 2]}})
    other = Sweep.load(sweep.id, storage=storage)
    with working(sweep) as (dealer, *_), working(other, "b") as (second, *_):
        taken = [claim(each) for _ in range(3) for each in (dealer, second)]
    assert sorted(places(taken)) == [(point, repeat) for point in (0, 1) for repeat in (1, 2, 3)]
    assert [group.state for group in known(other)] == ["running", "running"]


def test_a_stopped_or_failed_run_ends_its_group(storage: Storage) -> None:
    sweep = made(storage, {"a": {"values": [1, 2]}})
    ends = iter(["pruned", "finished", "failed"])

    def train(run: ClaimedRun, reporter: Reporter) -> Outcome:
        reporter.report(run, {"loss": 1.0})
        return Outcome(next(ends))

    assert places(work(sweep, train)) == [(0, 1), (1, 1), (1, 2)]
    assert [(group.state, str(group.score)) for group in known(sweep)] == [("ended", "1 (1 run)")] * 2
    assert sweep.state.name == "finished"


def test_a_retry_keeps_its_seed_and_goes_on_with_the_group(storage: Storage) -> None:
    sweep = made(storage, {"a": {"values": [1]}}, lightsweep={"repeats": 2, "seed": 5, "max_retries": 1})
    with working(sweep) as (dealer, reporter, _):
        first = claim(dealer)
        reporter.finish(first, Outcome("failed"))
        again = claim(dealer)
        assert (again.id, again.attempt, again.values, again.repeat) == (first.id, 2, first.values, first.repeat)
        reporter.finish(again, Outcome("failed"))
        assert [group.state for group in known(sweep)] == ["ended"]
        assert retry_runs(sweep, "0001") == ["0001"]
        asked = claim(dealer)
        assert (asked.values, asked.repeat) == (first.values, first.repeat)
        reporter.report(asked, {"loss": 1.0})
        reporter.finish(asked, Outcome("finished"))
        assert places([claim(dealer)]) == [(0, 2)]


def test_the_best_has_the_best_mean_of_all_repeats(storage: Storage) -> None:
    sweep = made(storage, {"a": {"values": [1, 2, 3]}})
    losses = {1: [5.0, 6.0, 7.0], 2: [1.0, 9.0, 5.0], 3: [4.0]}

    def train(run: ClaimedRun, reporter: Reporter) -> Outcome:
        assert run.repeat is not None
        reporter.report(run, {"loss": losses[run.values["a"]][run.repeat.repeat - 1]})
        return Outcome("finished")

    done = work(sweep, train, count=7)
    assert places(done)[-1] == (2, 1)
    best = best_run(sweep.runs, sweep.config)
    assert best is not None
    assert (best.id, best.best, best.group, best.labels) == ("0004", 1.0, "0004", {"group": "0004"})
    seen = summarize(sweep)
    assert seen.best_line == "best loss 5 ± 4 (3 runs), group 0004"
    (first, *_) = part_documents(sweep)["groups"]
    assert first == {
        "group": "0004",
        "state": "complete",
        "mean": 5.0,
        "deviation": 4.0,
        "count": 3,
        "runs": ["0004", "0005", "0006"],
        "skipped": "",
        "config": {"a": 2},
    }


def test_a_run_that_breaks_a_constraint_ends_its_group(storage: Storage) -> None:
    keys = {"repeats": 3, "seed": 5, "constraints": ["size <= 2"]}
    sweep = made(storage, {"a": {"values": [3, 1, 2]}}, lightsweep=keys)

    def train(run: ClaimedRun, reporter: Reporter) -> Outcome:
        assert run.repeat is not None
        a, noise = run.values["a"], 0.01 * run.repeat.repeat
        reporter.report(run, {"loss": 5 - a + noise, "size": a})  # the larger the better, if the bound did not matter
        return Outcome("finished")

    done = work(sweep, train)
    assert [run.values["a"] for run in done] == [3, 1, 1, 1, 2, 2, 2]  # a hidden rival of 2.01 would skip 1 and 2
    assert [group.state for group in known(sweep)] == ["ended", "complete", "complete"]
    assert known(sweep)[0].skipped == "run 0001 breaks size <= 2: 3"
    best = best_run(sweep.runs, sweep.config)
    assert best is not None
    assert best.group == "0005"
    assert [group.id for group in group_views(sweep)] == ["0005", "0002", "0001"]


def test_a_group_without_all_repeats_is_listed_before_one_that_breaks_a_constraint(storage: Storage) -> None:
    block = {"repeats": 2, "seed": 5, "constraints": ["size <= 3"]}
    sweep = made(storage, {"a": {"values": [4, 3]}}, lightsweep=block)

    def train(run: ClaimedRun, reporter: Reporter) -> Outcome:
        assert run.repeat is not None
        reporter.report(run, {"loss": 5 - run.values["a"], "size": run.values["a"]})
        return Outcome("finished" if run.repeat.repeat == 1 else "pruned")

    work(sweep, train)
    assert [group.id for group in group_views(sweep)] == ["0002", "0001"]


def test_a_searcher_sees_one_observation_for_each_group(storage: Storage) -> None:
    sweep = made(storage, GRID)
    work(sweep, noisy(), count=4)
    sweep.refresh()
    seen = observations(sweep.known_entries(), sweep.config)
    assert [(each.key, each.ticket, each.values, each.objectives) for each in seen] == [
        ("0001", 0, {"a": 1}, (1.01,)),
        ("0004", 1, {"a": 2}, (2.0,)),
    ]


def test_bayes_repeats_its_points(storage: Storage) -> None:
    sweep = made(storage, method="bayes", run_cap=18)
    done = work(sweep, noisy(step=5.0))
    points = dict.fromkeys(run.values["x"] for run in done)
    assert len(points) == 6
    assert [group.state for group in known(sweep)] == ["complete"] * 6


def test_an_update_keeps_repeats_and_adds_points(storage: Storage) -> None:
    sweep = made(storage, {"a": {"values": [1, 2]}}, count=2)
    assert len(work(sweep, noisy(step=9.0))) == 4
    with pytest.raises(UsageError, match=r"cannot change lightsweep\.repeats"):
        update_config(sweep, repeated({"a": {"values": [1, 2]}}, count=3))
    update_config(sweep, repeated({"a": {"values": [1, 2, 3]}}, count=2))
    more = work(sweep, noisy(step=9.0))
    assert [(run.values["a"], *place) for run, place in zip(more, places(more), strict=True)] == [(3, 2, 1), (3, 2, 2)]


def test_a_group_that_breaks_a_constraint_makes_no_other_one_hopeless(storage: Storage) -> None:
    block = {"repeats": 3, "seed": 5, "constraints": ["ms <= 20"]}
    sweep = made(storage, GRID, lightsweep=block)

    def train(run: ClaimedRun, reporter: Reporter) -> Outcome:
        assert run.repeat is not None
        loss = run.values["a"] + 0.01 * run.repeat.repeat
        reporter.report(run, {"loss": loss, "ms": 30.0 if run.values["a"] == 1 else 10.0})
        return Outcome("finished", "")

    work(sweep, train)
    assert [(group.id, group.state) for group in known(sweep)] == [
        ("0001", "ended"),
        ("0002", "complete"),
        ("0005", "skipped"),
        ("0006", "skipped"),
    ]
    best = sweep.best_run
    assert best is not None
    assert best.group == "0002"
