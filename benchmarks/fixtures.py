"""Databases that already hold finished runs, filled by SQL, since reporting them one by one takes minutes."""

from __future__ import annotations

import json
import sqlite3
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json

from lightsweep.controller import Sweep
from lightsweep.controller.runs import ATTEMPT, SUMMARY
from lightsweep.sampler import make_searcher
from lightsweep.sampler.optuna_params import optuna_distribution, to_optuna
from lightsweep.schema import SweepConfig

__all__ = [
    "CONTINUOUS",
    "EARLY",
    "FINITE",
    "GOOD",
    "METRIC",
    "REPORTS",
    "OptunaStudy",
    "config",
    "distributions",
    "optuna_study",
    "sweep_with_runs",
]

REPORTS = 27
METRIC = "val_loss"
EARLY: dict[str, Any] = {"type": "hyperband", "max_iter": REPORTS, "s": 2}
"""Bands 3 and 9, which are rungs of Optuna's HyperbandPruner too."""
_CHUNK = 20_000
_FIRST, _SECONDS = datetime(2026, 1, 1, 12), 10  # one run after the other
GOOD = 0.05
"""A loss that is better than that of every run in the database."""

CONTINUOUS: dict[str, Any] = {
    "learning_rate": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-1},
    "weight_decay": {"distribution": "log_uniform_values", "min": 1e-6, "max": 1e-1},
    "width": {"values": [16, 32, 64, 128, 256]},
    "depth": {"min": 1, "max": 4},
    "dropout": {"min": 0.0, "max": 0.5},
    "batch_size": {"values": [16, 32, 64, 128]},
    "optimizer": {"values": ["sgd", "adam", "adamw"]},
}
"""The space of the demo."""

FINITE: dict[str, Any] = {
    **{name: CONTINUOUS[name] for name in ("width", "depth", "batch_size", "optimizer")},
    "learning_rate": {"values": [round(1e-4 * 1.25**k, 7) for k in range(20)]},
    "seed": {"min": 1, "max": 5},
}
"""A grid of 24,000 points."""


@dataclass(frozen=True)
class OptunaStudy:
    """A plain Optuna study in an SQLite file, as ``optuna.create_study`` makes it."""

    url: str
    name: str
    distributions: Mapping[str, BaseDistribution]

    def load(self, sampler: optuna.samplers.BaseSampler | None = None) -> optuna.Study:
        """Open it as a training process would, with its Hyperband pruner."""
        return optuna.load_study(
            study_name=self.name, storage=self.url, pruner=optuna.pruners.HyperbandPruner(), sampler=sampler
        )


def config(
    method: str, parameters: Mapping[str, Any], program: Path | str = "train.py", **options: Any
) -> dict[str, Any]:
    """A sweep config with early termination; ``options`` are those of its ``lightsweep`` block."""
    return {
        "program": str(program),
        "method": method,
        "metric": {"name": METRIC, "goal": "minimize"},
        "early_terminate": EARLY,
        "parameters": dict(parameters),
        "lightsweep": {"seed": 1, **options},
    }


def sweep_with_runs(directory: Path, raw: Mapping[str, Any], runs: int, name: str, reports: int = REPORTS) -> Sweep:
    """A sweep of ours in an SQLite file of its own, with ``runs`` finished runs of so many reports."""
    path = directory / f"{name}.db"
    made = Sweep.create(raw, storage=f"sqlite:///{path}")
    made.storage.close()
    attributes = {
        ATTEMPT: {"kind": "fresh", "agent": "host:1:abcd"},
        SUMMARY: {
            "state": "finished",
            "reason": "",
            "metrics": {METRIC: {"min": 0.1, "max": 1.0, "last": 0.1}},
            "unread": [],
        },
    }
    _fill(path, made.study_id, made.config, range(runs), reports, user=attributes)
    return Sweep.load(made.id, storage=f"sqlite:///{path}")


def optuna_study(directory: Path, raw: Mapping[str, Any], runs: int, name: str) -> OptunaStudy:
    """The same runs in a plain Optuna study, with what its Hyperband pruner leaves behind at the rungs."""
    path = directory / f"{name}.db"
    loaded = SweepConfig.load(raw)
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    optuna.create_study(storage=storage, study_name=name, pruner=optuna.pruners.HyperbandPruner())
    storage.engine.dispose()
    optuna.logging.set_verbosity(verbosity)
    with sqlite3.connect(path) as connection:
        (study_id,) = connection.execute("SELECT study_id FROM studies WHERE study_name = ?", (name,)).fetchone()
    connection.close()
    _fill(path, study_id, loaded, range(runs), REPORTS, rungs=(1, 3, 9, 27))
    return OptunaStudy(f"sqlite:///{path}", name, distributions(loaded))


def distributions(loaded: SweepConfig) -> dict[str, BaseDistribution]:
    """The Optuna distribution of each parameter."""
    return {parameter.name: optuna_distribution(parameter.distribution) for parameter in loaded.space.parameters}


def _fill(
    path: Path,
    study_id: int,
    loaded: SweepConfig,
    tickets: range,
    length: int,
    *,
    user: Mapping[str, Any] | None = None,
    rungs: Sequence[int] = (),
) -> None:
    if len(tickets) > _CHUNK:  # more than memory should hold at once
        _fill(path, study_id, loaded, tickets[:_CHUNK], length, user=user, rungs=rungs)
        _fill(path, study_id, loaded, tickets[_CHUNK:], length, user=user, rungs=rungs)
        return
    natural = distributions(loaded)
    written = {name: distribution_to_json(distribution) for name, distribution in natural.items()}
    method = "grid" if loaded.method == "grid" else "random"
    searcher = make_searcher(SweepConfig.load({**loaded.raw, "method": method}), 1)
    trials, values, reports, params, user_rows, system_rows = [], [], [], [], [], []
    for ticket in tickets:
        trial_id = ticket + 1
        point = searcher.suggest(ticket, ())
        assert point is not None, "the space is smaller than the number of runs"
        # Above 0.1, from the parameters and some noise, and better with each report.
        distance = statistics.fmean((unit - 0.3) ** 2 for unit in loaded.space.unit(point))
        level = 0.1 + 2.0 * distance + 0.1 * ((ticket * 0.6180339887) % 1.0)
        history = [level + 1.0 / step for step in range(1, length + 1)]
        moments = (_FIRST + timedelta(seconds=seconds) for seconds in (_SECONDS * ticket, _SECONDS * (ticket + 1)))
        trials.append((trial_id, ticket, study_id, "COMPLETE", *(f"{moment}.000000" for moment in moments)))
        values.append((trial_id, 0, min(history), "FINITE"))
        reports += [(trial_id, step, value, "FINITE") for step, value in enumerate(history, start=1)]
        for parameter in loaded.space.parameters:
            stored = to_optuna(parameter.distribution, point[parameter.name])
            name = parameter.name
            params.append((trial_id, name, natural[name].to_internal_repr(stored), written[name]))
        user_rows += [(trial_id, key, json.dumps(value)) for key, value in (user or {}).items()]
        system_rows += [
            (trial_id, f"completed_rung_{number}", json.dumps(history[rung - 1])) for number, rung in enumerate(rungs)
        ]
    with sqlite3.connect(path) as connection:
        for statement, rows in (
            ("trials(trial_id, number, study_id, state, datetime_start, datetime_complete)", trials),
            ("trial_values(trial_id, objective, value, value_type)", values),
            ("trial_intermediate_values(trial_id, step, intermediate_value, intermediate_value_type)", reports),
            ("trial_params(trial_id, param_name, param_value, distribution_json)", params),
            ("trial_user_attributes(trial_id, key, value_json)", user_rows),
            ("trial_system_attributes(trial_id, key, value_json)", system_rows),
        ):
            marks = ", ".join("?" * (statement.count(",") + 1))
            connection.executemany(f"INSERT INTO {statement} VALUES ({marks})", rows)
    connection.close()
