"""Sweeps in stages: each begins when the runs of those before have ended, with the values of their best run."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from controller_helpers import claim, loss_of, work, work_together, working
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import plain_study
from test_claims import lose

from lightsweep.controller import ClaimedRun, Outcome, Sweep, SweepRun
from lightsweep.controller.changes import retry_runs, update_config
from lightsweep.controller.claims import ClaimTransaction, NoRun, RunClaimer, claim_lock
from lightsweep.controller.plan import NextRun
from lightsweep.controller.reader import SweepReader
from lightsweep.controller.reports import Reporter
from lightsweep.controller.runs import ATTEMPT
from lightsweep.controller.summary import part_views
from lightsweep.errors import UsageError
from lightsweep.sampler.optuna_params import optuna_distribution
from lightsweep.storage import Storage, open_storage

PARAMETERS: dict[str, Any] = {
    "optimizer": {"values": ["adam", "sgd"]},
    "lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-1},
    "hidden": {"values": [16, 32, 64]},
    "layers": {"min": 1, "max": 3},
    "dropout": {"min": 0.0, "max": 0.5},
    "epochs": {"value": 27},
}
STAGES: list[dict[str, Any]] = [
    {
        "name": "optimizer",
        "parameters": ["optimizer", "lr"],
        "run_cap": 4,
        "defaults": {"hidden": 32, "layers": 2, "dropout": 0.1},
    },
    {"name": "architecture", "parameters": ["hidden", "layers"], "method": "grid"},
    {"name": "regularization", "parameters": ["dropout"], "run_cap": 3},
]


def config(stages: list[dict[str, Any]] | None = None, **keys: Any) -> dict[str, Any]:
    options = keys.pop("lightsweep", {})
    return {
        "method": "random",
        "program": "train.py",
        "metric": {"name": "loss"},
        "parameters": PARAMETERS,
        "lightsweep": {"seed": 3, **options, "stages": stages or STAGES},
        **keys,
    }


def trained(run: ClaimedRun, reporter: Reporter) -> Outcome:
    reporter.report(run, {"loss": loss_of(run.values)})
    return Outcome("finished")


def finish(reporter: Reporter, run: ClaimedRun, loss: float | None, state: str = "finished") -> None:
    if loss is not None:
        reporter.report(run, {"loss": loss})
    assert reporter.finish(run, Outcome(state))


def waits(found: ClaimedRun | NoRun | None) -> str:
    assert isinstance(found, NoRun), found
    assert (found.for_good, found.exhausted) == (False, True)
    return found.reason


def by_stage(sweep: Sweep) -> dict[str, list[SweepRun]]:
    found: dict[str, list[SweepRun]] = {}
    for run in sweep.runs:
        found.setdefault(str(run.stage), []).append(run)
    return found


def best_of(runs: list[SweepRun]) -> SweepRun:
    return min(runs, key=lambda run: run.best if run.best is not None else float("inf"))


# --- from one to the next


def test_each_stage_searches_its_own_with_the_best_of_before(storage: Storage) -> None:
    sweep = Sweep.create(config(), storage=storage)
    work(sweep, trained)
    stages = by_stage(sweep)
    # The grid of nine has one point that the best run before had.
    assert {name: len(runs) for name, runs in stages.items()} == {
        "optimizer": 4,
        "architecture": 8,
        "regularization": 3,
    }
    first, second, third = stages.values()
    assert {(run.values["hidden"], run.values["layers"], run.values["dropout"]) for run in first} == {(32, 2, 0.1)}
    assert len({run.values["lr"] for run in first}) == 4
    base = best_of(first)
    for run in second:
        assert all(run.values[name] == base.values[name] for name in ("optimizer", "lr", "dropout"))
    assert len({(run.values["hidden"], run.values["layers"]) for run in [*second, base]}) == 9
    base = best_of([*first, *second])
    for run in third:
        assert all(run.values[name] == base.values[name] for name in ("optimizer", "lr", "hidden", "layers"))
    assert len({run.values["dropout"] for run in third}) == 3
    assert [run.id for run in sweep.runs] == [f"{number:04d}" for number in range(1, 16)]
    assert str(sweep.state) == "finished (all 3 stages)"
    assert all(list(run.values) == sorted(PARAMETERS) for run in sweep.runs)


def test_optuna_sees_every_parameter_with_its_whole_distribution(storage: Storage) -> None:
    sweep = Sweep.create(config(), storage=storage)
    work(sweep, trained)
    whole = {each.name: optuna_distribution(each.distribution) for each in sweep.config.space.parameters}
    with plain_study(storage.url, sweep.id) as study:
        assert [trial.distributions for trial in study.trials] == [whole] * 15
        assert [trial.params for trial in study.trials] == [run.values for run in sweep.runs]
        assert study.best_value == sweep.best_run.best if sweep.best_run else False


def test_what_there_is_to_see_of_the_stages(storage: Storage) -> None:
    sweep = Sweep.create(config(), storage=storage)
    assert [(view.state, view.runs, view.limit) for view in part_views(sweep)] == [
        ("running", 0, 4),
        ("waiting", 0, 9),
        ("waiting", 0, 3),
    ]
    work(sweep, trained, 6)
    sweep.refresh()
    one, two, three = part_views(sweep)
    assert (one.state, one.runs, one.ended, one.base) == ("over", 4, 4, None)
    assert (two.state, two.runs, two.ended, two.limit) == ("running", 2, 2, 8)
    assert one.best is not None
    assert two.best is not None
    assert two.base == one.best.id
    assert two.fixed == {name: one.best.values[name] for name in ("epochs", "dropout", "lr", "optimizer")}
    assert (three.state, three.fixed, three.best) == ("waiting", None, None)
    work(sweep, trained)
    sweep.refresh()
    assert [view.state for view in part_views(sweep)] == ["over"] * 3
    assert part_views(Sweep.create({**config(), "lightsweep": {}, "run_cap": 1}, storage=storage)) == ()


def test_of_equal_runs_the_earliest_is_the_best(storage: Storage) -> None:
    sweep = Sweep.create(config(), storage=storage)

    def flat(run: ClaimedRun, reporter: Reporter) -> Outcome:
        reporter.report(run, {"loss": 1.0})
        return Outcome("finished")

    work(sweep, flat)
    assert [view.base for view in part_views(sweep)] == [None, "0001", "0001"]


def test_a_stopped_run_can_be_the_best_and_a_failed_one_only_where_there_is_no_other(storage: Storage) -> None:
    def ended(*states: str) -> str | None:
        sweep = Sweep.create(config(), storage=storage)
        with working(sweep) as (dealer, reporter, _):
            for number, state in enumerate(states):
                finish(reporter, claim(dealer), -float(number), state)
            claim(dealer)
        return part_views(sweep)[1].base

    assert ended("finished", "finished", "pruned", "failed") == "0003"
    assert ended("failed", "failed", "failed", "failed") == "0004"


# --- the barrier


def test_a_stage_waits_for_the_runs_before_it(storage: Storage) -> None:
    sweep = Sweep.create(config(), storage=storage)
    two = Sweep.load(sweep.id, storage=storage)
    with working(sweep, "one") as (one, reporter, _):
        other = RunClaimer(two, "two")
        runs = [claim(one), claim(other), claim(one), claim(other)]
        reason = "every run of 'optimizer' was handed out; 'architecture' begins when they have ended"
        assert waits(other.next_run()) == waits(one.next_run()) == reason
        assert sweep.state.name == "running"
        for run in runs[:3]:
            finish(reporter, run, 1.0)
        assert waits(other.next_run()) == reason
        finish(reporter, runs[3], 0.5)
        following = claim(other)
        assert following.id == "0005"
        assert following.values["lr"] == runs[3].values["lr"]


def test_a_lost_run_holds_the_next_stage_back_and_is_started_again(storage: Storage) -> None:
    sweep = Sweep.create(config(), storage=storage)
    with working(sweep, "dead") as (dealer, _, _):
        lost = claim(dealer)
    other = Sweep.load(sweep.id, storage=storage)
    with working(other, "alive") as (dealer, reporter, _):
        for _ in range(3):
            finish(reporter, claim(dealer), 1.0)
        waits(dealer.next_run())
    lose(sweep, lost.trial_id)
    with working(Sweep.load(sweep.id, storage=storage), "third") as (dealer, reporter, _):
        again = claim(dealer)
        assert (again.id, again.attempt, again.values) == (lost.id, 2, lost.values)
        waits(dealer.next_run())
        finish(reporter, again, 0.5)
        assert claim(dealer).values["lr"] == lost.values["lr"]


def test_a_run_that_is_lost_for_good_holds_nothing_back(storage: Storage) -> None:
    sweep = Sweep.create(config(lightsweep={"max_preemptions": 0}), storage=storage)
    with working(sweep) as (dealer, reporter, _):
        for state in ("finished", "lost", "finished", "lost"):
            finish(reporter, claim(dealer), 1.0 if state == "finished" else None, state)
        assert claim(dealer).id == "0005"


def test_a_failed_run_is_retried_before_the_next_stage(storage: Storage) -> None:
    sweep = Sweep.create(config(lightsweep={"max_retries": 1}), storage=storage)
    with working(sweep) as (dealer, reporter, _):
        finish(reporter, claim(dealer), None, "failed")
        again = claim(dealer)
        assert (again.id, again.attempt) == ("0001", 2)
        for run in [again, *(claim(dealer) for _ in range(3))]:
            finish(reporter, run, 1.0)
        assert claim(dealer).id == "0005"


def in_the_gap(act: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``act`` happen once between what a dealer decides and its turn at the sweep."""
    left = [act]

    def late(sweep: Sweep) -> AbstractContextManager[ClaimTransaction]:
        while left:
            left.pop()()
        return claim_lock(sweep)

    monkeypatch.setattr("lightsweep.controller.claims.claim_lock", late)


def test_the_last_run_of_a_stage_may_be_raced_for(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = Sweep.create(config(), storage=storage)
    other = Sweep.load(sweep.id, storage=storage)
    with working(sweep, "slow") as (slow, reporter, _), working(other, "quick") as (quick, quickly, _):
        for _ in range(3):
            finish(reporter, claim(slow), 1.0)
        runs: list[ClaimedRun] = []
        in_the_gap(lambda: runs.append(claim(quick)), monkeypatch)
        waits(slow.next_run())
        assert [run.id for run in runs] == ["0004"]
        assert [trial.number for trial in storage.optuna.get_all_trials(sweep.study_id)] == [0, 1, 2, 3]
        finish(quickly, runs[0], 0.5)
        assert claim(slow).id == "0005"
    assert [run.id for run in Sweep.load(sweep.id, storage=storage).runs] == [f"000{n}" for n in range(1, 6)]


def test_two_agents_may_open_a_stage_at_once(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = Sweep.create(config(), storage=storage)
    other = Sweep.load(sweep.id, storage=storage)
    with working(sweep, "slow") as (slow, reporter, _), working(other, "quick") as (quick, _, _):
        for loss in (4.0, 3.0, 2.0, 1.0):
            finish(reporter, claim(slow), loss)
        runs: list[ClaimedRun] = []
        in_the_gap(lambda: runs.append(claim(quick)), monkeypatch)
        late = claim(slow)
        assert (runs[0].id, late.id) == ("0005", "0006")
        assert runs[0].values != late.values
        attempts = [trial.user_attrs[ATTEMPT] for trial in storage.optuna.get_all_trials(sweep.study_id)]
        assert ["stage" in attempt for attempt in attempts] == [False] * 4 + [True, False]


def test_a_thread_of_the_same_agent_may_look_in_between(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decision is older than the ticket then: no agent leaves because of it."""
    sweep = Sweep.create(config(), storage=storage)
    other = Sweep.load(sweep.id, storage=storage)
    with working(sweep, "slow") as (slow, reporter, _), working(other, "quick") as (quick, _, _):
        for loss in (4.0, 3.0, 2.0, 1.0):
            finish(reporter, claim(slow), loss)
        left = [lambda: (claim(quick), sweep.refresh())]

        decided = SweepReader.next_fresh_run

        def late(found: SweepReader) -> NextRun:
            step = decided(found)
            while left:
                left.pop()()
            return step

        monkeypatch.setattr(SweepReader, "next_fresh_run", late)
        assert claim(slow).id == "0006"


def test_the_last_ticket_of_all_may_be_raced_for(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = Sweep.create(config(run_cap=2), storage=storage)
    other = Sweep.load(sweep.id, storage=storage)
    with working(sweep, "slow") as (slow, reporter, _), working(other, "quick") as (quick, quickly, _):
        finish(reporter, claim(slow), 1.0)
        runs: list[ClaimedRun] = []
        in_the_gap(lambda: runs.append(claim(quick)), monkeypatch)
        assert isinstance(slow.next_run(), NoRun)
        finish(quickly, runs[0], 1.0)
    assert len(sweep.runs) == 2
    assert str(sweep.state) == "finished (run_cap 2)"


def test_what_a_stage_is_fixed_at_stays_whatever_is_retried_later(storage: Storage) -> None:
    sweep = Sweep.create(config(), storage=storage)
    with working(sweep) as (dealer, reporter, _):
        finish(reporter, claim(dealer), None, "failed")
        for _ in range(3):
            finish(reporter, claim(dealer), 1.0)
        before = claim(dealer)
        retry_runs(sweep, "0001")
        again = claim(dealer)
        assert again.id == "0001"
        finish(reporter, again, 0.0)
        after = claim(dealer)
        assert (before.id, after.id) == ("0005", "0006")
        assert before.values["lr"] == after.values["lr"] == sweep.runs[1].values["lr"]
        for run in (before, after):
            finish(reporter, run, 2.0)
    work(sweep, trained)
    assert len(by_stage(sweep)["architecture"]) == 8
    assert part_views(sweep)[2].base == "0001"


# --- where it ends


def test_without_a_value_there_is_nothing_to_go_on_from(storage: Storage) -> None:
    sweep = Sweep.create(config(), storage=storage)
    with working(sweep) as (dealer, reporter, _):
        for _ in range(4):
            finish(reporter, claim(dealer), None, "failed")
        found = dealer.next_run()
    reason = "no run has a value of loss that 'architecture' could start from"
    assert isinstance(found, NoRun)
    assert found.for_good
    assert str(sweep.state) == f"finished ({reason})"
    retry_runs(sweep, failed=True)
    assert sweep.state.name == "running"
    work(sweep, trained)
    assert str(sweep.state) == "finished (all 3 stages)"
    assert len(sweep.runs) == 15


@pytest.mark.parametrize("cap", [2, 4, 7, 12])
def test_the_cap_of_the_sweep_holds_for_all_stages_together(storage: Storage, cap: int) -> None:
    sweep = Sweep.create(config(run_cap=cap), storage=storage)
    work(sweep, trained)
    assert len(sweep.runs) == cap
    assert str(sweep.state) == f"finished (run_cap {cap})"


def test_the_target_ends_a_sweep_in_any_stage(storage: Storage) -> None:
    sweep = Sweep.create(config(metric={"name": "loss", "target": -1.0}), storage=storage)
    with working(sweep) as (dealer, reporter, _):
        finish(reporter, claim(dealer), -2.0)
    assert str(sweep.state) == "finished (target -1 of loss reached)"


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
def test_no_point_of_a_stage_that_refines_is_run_again(storage: Storage, method: str) -> None:
    stages: list[dict[str, Any]] = [
        {"parameters": ["a", "b"], "method": "random", "run_cap": 7},
        {"parameters": ["a"], "method": method},
        {"parameters": ["a", "b"], "method": method},
        {"parameters": ["b"], "method": method},
        {"name": "c", "parameters": ["c"]},
    ]
    stages[0]["defaults"] = {"c": 1.0}
    parameters = {"a": {"values": [1, 2, 3, 4]}, "b": {"min": 1, "max": 3}, "c": {"min": 0.0, "max": 1.0}}
    sweep = Sweep.create(
        config(stages, parameters=parameters, run_cap=15, lightsweep={"sampler": "tpe"}), storage=storage
    )
    work(sweep, trained)
    runs = sweep.runs
    assert len({(run.values["a"], run.values["b"]) for run in runs if run.stage != "c"}) == 12
    # All points of the fourth were run in the third.
    assert [view.state for view in part_views(sweep)] == ["over", "over", "over", "passed over", "over"]
    assert [run.stage for run in runs[12:]] == ["c"] * 3
    assert {run.state for run in runs} == {"finished"}


def test_a_sweep_whose_last_stages_have_nothing_left_is_over(storage: Storage) -> None:
    stages = [{"parameters": ["a"], "method": "grid"}, {"parameters": ["a"], "method": "random"}]
    sweep = Sweep.create(config(stages, parameters={"a": {"values": [1, 2, 3]}}), storage=storage)
    work(sweep, trained)
    assert len(sweep.runs) == 3
    assert str(sweep.state) == "finished (earlier runs had every point of the remaining stages)"


# --- early termination


def test_a_run_is_compared_with_runs_of_its_stage(storage: Storage) -> None:
    stages = [
        {**STAGES[0], "run_cap": 3},
        {**STAGES[1], "early_terminate": {"type": "hyperband", "min_iter": 2}},
        {**STAGES[2], "early_terminate": None},
    ]
    early = {"type": "hyperband", "min_iter": 1, "eta": 2}
    sweep = Sweep.create(config(stages, early_terminate=early, run_cap=8), storage=storage)
    other = Sweep.load(sweep.id, storage=storage)
    with working(sweep) as (dealer, reporter, _), working(other) as (_, elsewhere, _):
        first = claim(dealer)
        assert not reporter.report(first, {"loss": 1.0}).stop
        assert reporter.finish(first, Outcome("finished"))
        finish(reporter, claim(dealer), 0.5)
        third = claim(dealer)
        assert reporter.report(third, {"loss": 2.0}).stop
        assert reporter.finish(third, Outcome("pruned"))
        # Far worse than the runs of the stage before, but the first of its stage at the band.
        run = claim(dealer)
        assert not reporter.report(run, {"loss": 9.0}).stop
        assert not reporter.report(run, {"loss": 9.0}).stop
        assert reporter.finish(run, Outcome("finished"))
        finish(reporter, claim(dealer), 8.0)
        worse = claim(dealer)
        other.refresh()
        assert not elsewhere.report(worse, {"loss": 9.5}).stop  # no band of this stage
        verdict = elsewhere.report(worse, {"loss": 9.5})
        assert (verdict.stop, verdict.band, verdict.compared, verdict.threshold) == (True, 2, 2, 9.0)
        assert elsewhere.finish(worse, Outcome("pruned"))


def test_a_stage_without_early_termination_stops_nothing(storage: Storage) -> None:
    stages = [{**STAGES[0], "early_terminate": None}, *STAGES[1:]]
    early = {"type": "hyperband", "min_iter": 1, "eta": 2}
    sweep = Sweep.create(config(stages, early_terminate=early), storage=storage)
    with working(sweep) as (dealer, reporter, _):
        for loss in (1.0, 2.0, 3.0, 4.0):
            run = claim(dealer)
            assert not reporter.report(run, {"loss": loss}).stop
            assert reporter.finish(run, Outcome("finished"))
        verdicts = []
        for loss in (1.0, 2.0, 3.0):
            run = claim(dealer)
            verdicts.append(reporter.report(run, {"loss": loss}).stop)
            assert reporter.finish(run, Outcome("finished"))
    assert verdicts == [False, False, True]  # of two runs each may be the better half


# --- bayes, seeds, prior runs, updates


def test_stages_have_different_seeds(storage: Storage) -> None:
    parameters = {"a": {"min": 0.0, "max": 1.0}, "b": {"min": 0.0, "max": 1.0}}
    stages = [{"parameters": ["a"], "run_cap": 5, "defaults": {"b": 0.5}}, {"parameters": ["b"], "run_cap": 5}]
    sweep = Sweep.create(config(stages, parameters=parameters), storage=storage)
    work(sweep, trained)
    one, two = by_stage(sweep).values()
    assert not {run.values["a"] for run in one} & {run.values["b"] for run in two}


@pytest.mark.parametrize("processes", [2, 5])
def test_a_seeded_sweep_is_the_same_with_one_agent_and_with_many(tmp_path: Path, processes: int) -> None:
    url = f"sqlite:///{tmp_path}/sweeps.db"
    alone, together = (Sweep.create(config(), storage=url) for _ in range(2))
    work(alone, trained)
    done = work_together(together, processes)
    assert sum(map(len, done)) == 15
    assert {run.id: (run.stage, run.values) for run in alone.runs} == {
        run.id: (run.stage, run.values) for run in together.runs
    }
    assert str(together.state) == "finished (all 3 stages)"


def test_threads_race_through_many_small_stages(storage: Storage) -> None:
    names = [f"p{number}" for number in range(6)]
    parameters = {name: {"min": 0.0, "max": 1.0} for name in names}
    stages: list[dict[str, Any]] = [
        {"parameters": [name], "run_cap": 2 + place % 3} for place, name in enumerate(names)
    ]
    stages[0]["defaults"] = dict.fromkeys(names[1:], 0.5)
    sweep = Sweep.create(config(stages, parameters=parameters), storage=storage)
    errors: list[BaseException] = []

    def agent(name: str) -> None:
        opened = open_storage(storage.url)
        try:
            mine = Sweep.load(sweep.id, storage=opened)
            with working(mine, name) as (dealer, reporter, _):
                while not (isinstance(found := dealer.next_run(), NoRun) and found.for_good):
                    if isinstance(found, ClaimedRun):
                        assert reporter.finish(found, trained(found, reporter))
        except BaseException as error:  # told in the thread that started this one
            errors.append(error)
        finally:
            opened.close()

    threads = [threading.Thread(target=agent, args=(f"agent{number}",)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert errors == []
    assert [len(runs) for runs in by_stage(sweep).values()] == [2, 3, 4, 2, 3, 4]
    check_fixed(sweep)


def check_fixed(sweep: Sweep) -> None:
    """Every run belongs to one stage, in their order; what that does not search is as it should be."""
    runs = sweep.runs
    names = [stage.name for stage in sweep.config.stages]
    places = [names.index(str(run.stage)) for run in runs]
    assert places == sorted(places)
    for run, place in zip(runs, places, strict=True):
        stage = sweep.config.stages[place]
        before = [other for other, earlier in zip(runs, places, strict=True) if earlier < place]
        fixed = stage.fixed(best_of(before).values if before else None)
        assert {name: run.values[name] for name in fixed} == fixed
        assert {*fixed, *stage.searched} == set(run.values)
        for parameter in sweep.config.space.parameters:
            parameter.distribution.inverse(run.values[parameter.name])


@st.composite
def staged(draw: st.DrawFn) -> dict[str, Any]:
    """Configs with stages over finite and endless parameters."""
    finite = {"a": {"values": [3, 1, 2]}, "b": {"min": 1, "max": 3}, "c": {"values": ["x", None, True]}}
    endless = {"d": {"min": 0.0, "max": 1.0}, "e": {"distribution": "normal"}, "f": {"distribution": "q_normal"}}
    parameters = {**finite, **endless}
    defaults = {"a": 1, "b": 2, "c": None, "d": 0.25, "e": 0, "f": 1}
    stages: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(1, 4))):
        names = draw(st.lists(st.sampled_from(sorted(parameters)), min_size=1, max_size=3, unique=True))
        methods = ["random", "grid"] if set(names) <= set(finite) else ["random"]
        stages.append(
            {"parameters": names, "method": draw(st.sampled_from(methods)), "run_cap": draw(st.integers(1, 5))}
        )
    stages[0]["defaults"] = {name: value for name, value in defaults.items() if name not in stages[0]["parameters"]}
    return config(stages, parameters=parameters, run_cap=draw(st.sampled_from([100, 3, 8])))


@settings(max_examples=25, deadline=None)
@given(raw=staged())
def test_any_stages(raw: dict[str, Any]) -> None:
    directory = tempfile.TemporaryDirectory()
    storage = open_storage(f"sqlite:///{directory.name}/sweeps.db")
    try:
        sweep = Sweep.create(raw, storage=storage)
        work(sweep, trained)
        check_fixed(sweep)
        assert sweep.state.name == "finished"
        counts = {stage.name: 0 for stage in sweep.config.stages}
        for run in sweep.runs:
            counts[str(run.stage)] += 1
        assert all(counts[stage.name] <= (stage.most or 0) for stage in sweep.config.stages)
        assert len(sweep.runs) <= raw["run_cap"]
        # Of endless whole numbers some come up again; all else does not.
        names = {stage.name for stage in sweep.config.stages if "f" not in stage.searched}
        points = [json.dumps(run.values) for run in sweep.runs if run.stage in names]
        assert len(set(points)) == len(points)
    finally:
        storage.close()
        directory.cleanup()


def test_prior_runs_are_no_stage_and_no_base(storage: Storage) -> None:
    first = Sweep.create(config(), storage=storage)
    work(first, trained)
    second = Sweep.create(config(method="bayes"), prior_runs=[first.id], storage=storage)
    with working(second) as (dealer, reporter, _):
        for _ in range(4):
            finish(reporter, claim(dealer), 1e6)
        claim(dealer)
    priors = [run for run in second.runs if run.id.startswith("p")]
    assert len(priors) == 15
    assert {run.stage for run in priors} == {None}
    assert part_views(second)[1].base == "0001"


def test_nothing_of_stages_can_be_changed(storage: Storage) -> None:
    sweep = Sweep.create(config(), storage=storage)
    with pytest.raises(UsageError, match=f"sweep {sweep.id} runs in stages, and a sweep with stages cannot be updated"):
        update_config(sweep, config(run_cap=5))
    flat = Sweep.create({**config(), "lightsweep": {"seed": 3}}, storage=storage)
    with pytest.raises(UsageError, match="the new config describes a sweep that runs in stages"):
        update_config(flat, config())


def test_what_is_written_of_a_stage(storage: Storage) -> None:
    sweep = Sweep.create(config(), storage=storage)
    work(sweep, trained, 6)
    attempts = [trial.user_attrs[ATTEMPT] for trial in storage.optuna.get_all_trials(sweep.study_id)]
    first = attempts.pop(4)
    assert {"stage": 2, "limit": 8, "base": best_of(by_stage(sweep)["optimizer"]).id}.items() <= first.items()
    assert all(attempt.keys() == {"kind", "agent", "number"} for attempt in attempts)
