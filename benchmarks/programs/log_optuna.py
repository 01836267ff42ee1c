"""Optuna's own way: one process that reports and asks its pruner; ``None`` ends a trial and begins the next.

Arguments: storage URL and name of the study. The trials' parameters are enqueued, so that no sampler is timed. More
metrics than the reported one go into one user attribute.
"""

import os
import sys
import time
from multiprocessing.connection import Client

import optuna

optuna.logging.set_verbosity(optuna.logging.WARNING)
url, name = sys.argv[1:]
study = optuna.load_study(study_name=name, storage=url, pruner=optuna.pruners.HyperbandPruner())
known = study.get_trials(deepcopy=False)[0]

with Client(os.environ["BENCH_ADDRESS"]) as bench:
    while bench.recv() == "trial":
        study.enqueue_trial(known.params)
        trial = study.ask(known.distributions)
        bench.send("ready")
        for step, metrics in enumerate(iter(bench.recv, None), start=1):
            start = time.perf_counter()
            trial.report(metrics["val_loss"], step)
            if len(metrics) > 1:
                trial.set_user_attr("metrics", metrics)
            pruned = trial.should_prune()
            bench.send(time.perf_counter() - start)
            assert not pruned, "the value should have been good enough"
        study.tell(trial, metrics["val_loss"])
