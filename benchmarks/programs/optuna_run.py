"""Optuna's own way of one more run: load the study, ask, report, ask the pruner, tell. Arguments: URL and name."""

import sys

import optuna

optuna.logging.set_verbosity(optuna.logging.WARNING)
url, name = sys.argv[1:]
study = optuna.load_study(
    study_name=name,
    storage=url,
    sampler=optuna.samplers.RandomSampler(),
    pruner=optuna.pruners.HyperbandPruner(),
)
trial = study.ask()
trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
trial.report(0.05, 1)
trial.should_prune()
study.tell(trial, 0.05)
