"""Optuna's own way: one process that reports and asks its pruner; ``None`` ends a trial and begins the next.

Arguments: kind of the storage, URL of an SQLite storage, and name of the study in it, which is copied into a storage of
that kind. The trials' parameters are enqueued, so that no sampler is timed. More metrics than the reported one go into
one user attribute.
"""

import os
import sqlite3
import sys
import time
from multiprocessing.connection import Client

import optuna
from optuna.storages import InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from training_step import train

optuna.logging.set_verbosity(optuna.logging.WARNING)
kind, url, name = sys.argv[1:]
storage = {
    "SQLite": lambda: url,
    "SQLite, WAL": lambda: "sqlite:///wal.db",
    "journal file": lambda: JournalStorage(JournalFileBackend("journal.log")),
    "memory": InMemoryStorage,
}[kind]()
if kind == "SQLite, WAL":
    with sqlite3.connect(url.removeprefix("sqlite:///")) as source, sqlite3.connect("wal.db") as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = WAL")  # kept in the file
elif kind != "SQLite":
    optuna.copy_study(from_study_name=name, from_storage=url, to_storage=storage)
study = optuna.load_study(study_name=name, storage=storage, pruner=optuna.pruners.HyperbandPruner())
known = study.get_trials(deepcopy=False)[0]

with Client(os.environ["BENCH_ADDRESS"]) as bench:
    while bench.recv() == "trial":
        study.enqueue_trial(known.params)
        trial = study.ask(known.distributions)
        bench.send("ready")
        for step, metrics in enumerate(iter(bench.recv, None), start=1):
            train()
            start = time.perf_counter()
            trial.report(metrics["val_loss"], step)
            if len(metrics) > 1:
                trial.set_user_attr("metrics", metrics)
            pruned = trial.should_prune()
            bench.send(time.perf_counter() - start)
            assert not pruned, "the value should have been good enough"
        study.tell(trial, metrics["val_loss"])
