"""An agent whose runs are at work glances at its sweep, and looks at all of it if that matters."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lightsweep.controller import ClaimedRun, Outcome, Sweep
from lightsweep.controller.changes import request, update_config
from lightsweep.controller.claims import RunClaimer
from lightsweep.controller.reports import Reporter, Writer
from lightsweep.errors import NotFoundError

CONFIG = {"method": "random", "metric": {"name": "loss"}, "parameters": {"x": {"min": 0.0, "max": 1.0}}}


def claimed(sweep: Sweep, agent: str) -> ClaimedRun:
    run = RunClaimer(sweep, agent).next_run()
    assert isinstance(run, ClaimedRun)
    return run


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_a_glance_reads_what_an_agent_at_work_must_know(postgresql: Callable[[], str], method: str) -> None:
    url = postgresql()
    user = Sweep.create({**CONFIG, "method": method}, storage=url)
    mine, other = Sweep.load(user.id, storage=url), Sweep.load(user.id, storage=url)
    run = claimed(mine, "me")
    claimed(other, "other")
    request(user, "pause")
    mine.glance(run.trial_id)
    assert mine.known_state().name == "paused"
    # A searcher that learns needs the runs, each time.
    assert len(mine.known_entries()) == {"random": 0, "bayes": 2}[method]
    update_config(user, {**CONFIG, "method": method, "run_cap": 7})
    mine.glance(run.trial_id)
    assert mine.config.run_cap == 7
    writer = Writer(other.storage)
    reporter = Reporter(other, writer)
    reporter.finish(run, Outcome("lost", "taken by another"))
    mine.glance(run.trial_id)
    assert mine.lost(run.id, run.trial_id)
    reporter.close()
    writer.close()
    user.storage.optuna.delete_study(user.study_id)
    with pytest.raises(NotFoundError):
        mine.glance(run.trial_id)
    for sweep in (user, mine, other):
        sweep.storage.close()
