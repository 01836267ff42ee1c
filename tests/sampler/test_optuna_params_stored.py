"""Parameters of runs in a real Optuna storage."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial
from plain import plain_study
from sampler_helpers import sweep

from lightsweep.sampler import make_searcher
from lightsweep.sampler.optuna_params import from_optuna, params_to_optuna

SPACE = {
    "kind": {"values": ["a", None, True, 1, [1, 2], {"k": "v"}]},
    "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 0.1},
    "model": {"parameters": {"hidden": {"values": [64, 128]}, "noise": {"distribution": "normal"}}},
    "batch": {"distribution": "q_log_uniform_values", "min": 8, "max": 256, "q": 8},
    "steps": {"min": 1, "max": 2**53},
    "fixed": {"value": {"deep": [1, None]}},
}


def test_plain_optuna_reads_what_was_proposed(tmp_path: Path) -> None:
    config = sweep(SPACE, "random")
    searcher = make_searcher(config, 1)
    url = f"sqlite:///{tmp_path}/sweep.db"
    storage = optuna.storages.RDBStorage(url)
    study = optuna.create_study(storage=storage, study_name="s")
    proposed = [searcher.suggest(ticket, []) for ticket in range(8)]
    for values in proposed:
        assert values is not None
        params = params_to_optuna(config.space, values, searcher)
        study.add_trial(
            create_trial(
                params={name: stored for name, (_, stored) in params.items()},
                distributions={name: distribution for name, (distribution, _) in params.items()},
                state=TrialState.COMPLETE,
                value=1.0,
            )
        )
    storage.engine.dispose()
    with plain_study(url, "s") as study:
        read = study.trials
    for trial, values in zip(read, proposed, strict=True):
        assert values is not None
        back = {one.name: from_optuna(one.distribution, trial.params[one.name]) for one in config.space.parameters}
        assert back == values
        assert {name: type(value) for name, value in back.items()} == {name: type(v) for name, v in values.items()}
    assert read[0].distributions["model.hidden"] == CategoricalDistribution([64, 128])
    storage.engine.dispose()


def test_parameters_defined_by_run_keep_their_own_distributions(tmp_path: Path) -> None:
    source = tmp_path / "space.py"
    source.write_text(
        "def space(trial):\n"
        "    if trial.suggest_int('depth', 1, 2) == 2:\n"
        "        trial.suggest_float('drop', 0.0, 0.5)\n"
    )
    block = {"engine": "optuna", "source": str(source), "search_space": "space"}
    config = sweep({"epochs": {"value": 3}}, "custom", scheduler=block)
    searcher = make_searcher(config, 1)
    params = params_to_optuna(config.space, {"epochs": 3, "depth": 2, "drop": 0.25}, searcher)
    assert params == {
        "epochs": (CategoricalDistribution([3]), 3),
        "depth": (IntDistribution(1, 2), 2),
        "drop": (FloatDistribution(0.0, 0.5), 0.25),
    }
