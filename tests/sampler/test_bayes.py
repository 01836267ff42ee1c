"""Bayes learns: from finished, pruned, failed and running runs, and better than chance."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from optuna.trial import TrialState
from sampler_helpers import QUADRATIC, best, play, quadratic, run, sweep

from lightsweep.sampler import BayesSearcher, Observation, SearchTask, make_searcher
from lightsweep.sampler.base import STARTUP
from lightsweep.sampler.bayes import tpe_sampler

SEEDS = range(2)


def mean_best(sampler: str, count: int, state: Any = "finished") -> float:
    config = sweep(QUADRATIC, sampler=sampler)
    return sum(best(play(make_searcher(config, seed), count, quadratic, state)) for seed in SEEDS) / len(SEEDS)


def test_the_gaussian_process_learns_from_pruned_runs_too() -> None:
    assert mean_best("gp", 20, "pruned") < 0.05 * mean_best("random", 20)


def test_tpe_beats_chance() -> None:
    assert mean_best("tpe", 40) < mean_best("random", 40)


def test_cma_es_goes_on_from_generation_to_generation() -> None:
    config = sweep(QUADRATIC, sampler="cmaes")
    late = 0.0
    for seed in SEEDS:
        runs = play(make_searcher(config, seed), 90, quadratic)
        late += sum(quadratic(one.values) for one in runs[-10:]) / 10
    # Chance gives 0.35 on average; a CMA-ES without its generations stays at the width it began with, 0.12.
    assert late / len(SEEDS) < 0.01


def test_a_diverged_run_does_not_blind_the_gaussian_process() -> None:
    def diverging(values: Mapping[str, Any]) -> float:
        return 1e9 * values["x"] if values["x"] > 0.7 else quadratic(values)

    config = sweep(QUADRATIC, sampler="gp")
    assert best(play(make_searcher(config, 0), 22, diverging)) < 0.01


def test_an_unordered_category_is_learned() -> None:
    config = sweep({**QUADRATIC, "kind": {"values": ["good", "bad", "worse", "worst"]}}, sampler="gp")

    def by_kind(values: Mapping[str, Any]) -> float:
        return quadratic(values) + ["good", "bad", "worse", "worst"].index(values["kind"])

    runs = play(make_searcher(config, 1), STARTUP + 8, by_kind)
    assert sum(one.values["kind"] == "good" for one in runs[-6:]) >= 4


@pytest.mark.parametrize("sampler", ["gp", "tpe"])
def test_running_points_are_kept_away_from(sampler: str) -> None:
    config = sweep({"x": {"min": 0.0, "max": 1.0}}, sampler=sampler)
    known = [run(place, {"x": place / 14}, (place / 14 - 0.5) ** 2) for place in range(15)]
    searcher = make_searcher(config, 3)
    for agent in range(6):
        values = searcher.suggest(15 + agent, known)
        assert values is not None
        known.append(run(15 + agent, values, state="running"))
    xs = sorted(one.values["x"] for one in known[15:])
    assert min(right - left for left, right in pairwise(xs)) > 1e-4


def test_several_metrics_are_weighed_against_each_other() -> None:
    config = sweep(QUADRATIC, sampler="gp", metrics=[{"name": "loss"}, {"name": "accuracy", "goal": "maximize"}])
    searcher, known = make_searcher(config, 1), list[Observation]()
    for ticket in range(STARTUP + 6):
        values = searcher.suggest(ticket, known)
        assert values is not None
        known.append(run(ticket, values, values["x"] ** 2 + values["y"], 1 - (values["x"] - 1) ** 2))
    # Along the front y is 0: anything else only adds to the loss.
    assert sum(one.values["y"] < 0.1 for one in known[STARTUP:]) >= 4


def test_no_startup_draws_where_runs_from_elsewhere_are_known() -> None:
    config = sweep(QUADRATIC, sampler="gp")
    known = [
        Observation(f"prior-{one.key}", None, one.values, "finished", one.objectives, 1)
        for one in play(make_searcher(config, 5), STARTUP, quadratic)
    ]
    assert make_searcher(config, 1).suggest(0, known) != make_searcher(config, 1).suggest(0, [])


def test_the_sampler_sees_what_the_runs_count_for() -> None:
    config = sweep(QUADRATIC)
    seen: list[Any] = []

    def choose(seed: int, trials: Any) -> Any:
        seen.extend((trial.number, trial.state, trial.values) for trial in trials)
        return tpe_sampler(seed)

    searcher = BayesSearcher(SearchTask(config.space, config.metrics, 1), choose)
    point = config.space.at([0.5, 0.5])
    states = ["finished", "pruned", "finished", "finished", "failed", "killed", "running"]
    known = [run(place, point, float(place), state=state) for place, state in enumerate(states)]
    searcher.suggest(STARTUP, known)
    counted = [(place + 1, TrialState.COMPLETE, [value]) for place, value in enumerate([0.0, 1.0, 2.0, 3.0, 6.0, 6.0])]
    assert seen == [*counted, (7, TrialState.RUNNING, None)]


def test_cma_es_tells_its_generations_alike_in_every_agent() -> None:
    config = sweep(QUADRATIC, sampler="cmaes")
    asked = make_searcher(config, 1)
    known = play(asked, 30, quadratic)
    assert make_searcher(config, 1).suggest(30, known) == asked.suggest(30, known)
    # A run that ends late comes before others that are in the study already.
    late = make_searcher(config, 1)
    late.suggest(30, [one for one in known if one.ticket != 15])
    assert late.suggest(30, known) == asked.suggest(30, known)
