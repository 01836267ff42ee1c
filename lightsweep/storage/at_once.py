"""What :mod:`lightsweep.storage.trials` writes, as PostgreSQL can take it: one statement for each claim, batch and end.

The claim holds a lock that every agent waits for, so there each statement counts. Values go as arrays, so that the text
of a statement is always the same, and nobody parses it twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import TrialState
from sqlalchemy import Connection, text

__all__ = ["add", "end", "report"]

Row = Mapping[str, Any]

_ATTRIBUTES = (
    "INSERT INTO trial_user_attributes (trial_id, key, value_json) SELECT t.trial_id, g.key, g.value "
    "FROM t, unnest(CAST(:keys AS text[]), CAST(:jsons AS text[])) AS g(key, value)"
)
_ADD = text(
    "WITH t AS (INSERT INTO trials (number, study_id, state, datetime_start) "
    "VALUES (:number, :study, 'RUNNING', :now) RETURNING trial_id), "
    f"a AS ({_ATTRIBUTES}), "
    "p AS (INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) "
    "SELECT t.trial_id, g.name, g.value, g.distribution FROM t, unnest(CAST(:names AS text[]), "
    "CAST(:numbers AS double precision[]), CAST(:distributions AS text[])) AS g(name, value, distribution)), "
    "r AS (INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type) "
    "SELECT t.trial_id, g.step, g.value, CAST(g.kind AS trialintermediatevaluetype) FROM t, "
    "unnest(CAST(:steps AS integer[]), CAST(:values AS double precision[]), CAST(:kinds AS text[])) "
    "AS g(step, value, kind)), "
    "h AS (INSERT INTO trial_heartbeats (trial_id, heartbeat) SELECT trial_id, CURRENT_TIMESTAMP FROM t) "
    "SELECT trial_id FROM t"
)
_REPORT = text(
    "INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type) "
    "SELECT g.trial, g.step, g.value, CAST(g.kind AS trialintermediatevaluetype) "
    "FROM unnest(CAST(:trials AS integer[]), CAST(:steps AS integer[]), CAST(:values AS double precision[]), "
    "CAST(:kinds AS text[])) AS g(trial, step, value, kind) "
    "JOIN trials t ON t.trial_id = g.trial WHERE t.state = 'RUNNING' "
    "ON CONFLICT (trial_id, step) DO UPDATE SET intermediate_value = EXCLUDED.intermediate_value, "
    "intermediate_value_type = EXCLUDED.intermediate_value_type RETURNING trial_id"
)
_END = text(
    "WITH t AS (UPDATE trials SET state = CAST(:state AS trialstate), datetime_complete = :now "
    "WHERE trial_id = :trial AND state = 'RUNNING' RETURNING trial_id), "
    f"a AS ({_ATTRIBUTES}), "
    "v AS (INSERT INTO trial_values (trial_id, objective, value, value_type) "
    "SELECT t.trial_id, g.objective, g.value, CAST(g.kind AS trialvaluetype) FROM t, "
    "unnest(CAST(:objectives AS integer[]), CAST(:values AS double precision[]), CAST(:kinds AS text[])) "
    "AS g(objective, value, kind)) "
    "SELECT count(*) FROM t"
)


def add(
    connection: Connection,
    study_id: int,
    number: int,
    now: datetime,
    attributes: Mapping[str, Any],
    parameters: Mapping[str, tuple[BaseDistribution, Any]],
    reports: Sequence[Row],
) -> int:
    """See :meth:`~lightsweep.storage.trials.Trials.add`; ``reports`` are rows of their table."""
    values = {
        "study": study_id,
        "number": number,
        "now": now,
        "names": list(parameters),
        "numbers": [float(distribution.to_internal_repr(value)) for distribution, value in parameters.values()],
        "distributions": [distribution_to_json(distribution) for distribution, _ in parameters.values()],
        **_attributes(attributes),
        **_reports(reports),
    }
    return int(connection.execute(_ADD, values).scalar_one())


def report(connection: Connection, reports: Sequence[Row]) -> set[int]:
    """Write rows of the table of intermediate values; the trials among them that are running."""
    values = {"trials": [row["trial_id"] for row in reports], **_reports(reports)}
    return {trial_id for (trial_id,) in connection.execute(_REPORT, values).all()}


def end(
    connection: Connection,
    trial_id: int,
    state: TrialState,
    now: datetime,
    attributes: Mapping[str, Any],
    objectives: Sequence[Row],
) -> bool:
    """See :meth:`~lightsweep.storage.trials.Trials.end`; False where the trial was not running."""
    values = {
        "trial": trial_id,
        "state": state.name,
        "now": now,
        "objectives": [row["objective"] for row in objectives],
        "values": [row["value"] for row in objectives],
        "kinds": [row["value_type"].name for row in objectives],
        **_attributes(attributes),
    }
    return bool(connection.execute(_END, values).scalar_one())


def _attributes(attributes: Mapping[str, Any]) -> dict[str, list[str]]:
    return {"keys": list(attributes), "jsons": [json.dumps(value) for value in attributes.values()]}


def _reports(rows: Sequence[Row]) -> dict[str, list[Any]]:
    return {
        "steps": [row["step"] for row in rows],
        "values": [row["intermediate_value"] for row in rows],
        "kinds": [row["intermediate_value_type"].name for row in rows],
    }
