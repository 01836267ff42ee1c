"""Find sweeps that cannot be read or continued as they are: attributes that are missing or of another program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lightsweep.controller.plan import SweepStatus
from lightsweep.controller.reader import storage_errors
from lightsweep.controller.runs import ATTEMPT, STATE, SWEEP, attempt_of, values_of
from lightsweep.controller.sweeps import Sweep
from lightsweep.errors import LightsweepError, StorageUnavailableError
from lightsweep.storage import Storage
from lightsweep.storage.damage import Damage
from lightsweep.storage.trials import OPEN, TrialRow
from lightsweep.text import counted, quoted

_SHOWN = 5
_RESTORE = "restore the storage from a copy; agents and commands cannot read the sweep"


def sweep_damage(storage: Storage) -> tuple[int, list[Damage]]:
    """Check every sweep of a storage; studies of other programs are left alone.

    Returns:
        The number of sweeps, damaged ones included, and what was found.
    """
    with storage_errors():
        ours = [study for study in storage.studies() if {SWEEP, STATE} & study.attributes.keys()]
    found = [damage for study in ours for damage in _of_sweep(storage, *study)]
    return len(ours), found


def _of_sweep(storage: Storage, study_id: int, name: str, attributes: dict[str, Any]) -> Iterator[Damage]:
    place = f"sweep {name}"
    if SWEEP not in attributes:
        # The attribute is the last that is written when a sweep is created.
        remedy = f"if it has no runs, remove it: optuna --storage URL delete-study --study-name {name}; else {_RESTORE}"
        yield Damage(place, f"its attribute {SWEEP} is missing; perhaps its creation was interrupted", remedy)
        return
    if STATE not in attributes:
        wanted = f"--key {STATE} --value {SweepStatus.RUNNING}"
        remedy = f"write it: optuna --storage URL study set-user-attr --study-name {name} {wanted}"
        yield Damage(place, f"its attribute {STATE} is missing, so agents take the sweep for deleted", remedy)
        return
    try:
        sweep = Sweep(storage, study_id, name, attributes)
        sweep.refresh()
    except StorageUnavailableError:
        raise
    except LightsweepError as error:
        yield Damage(place, str(error), _RESTORE)
        return
    yield from _of_trials(place, sweep)


def _of_trials(place: str, sweep: Sweep) -> Iterator[Damage]:
    """Find trials that count for nothing, and finished runs without parameters.

    A trial counts if its attribute says that it is a run, a retry, an update or a prior run. Void trials, which agents
    write through Optuna's API, are sound.
    """
    malformed, foreign = [], []
    for record in sweep.ledger.records:
        if ATTEMPT not in record.attributes:
            foreign.append(record)
        elif attempt_of(record.attributes[ATTEMPT]) is None:
            malformed.append(record)
    if malformed:
        value = quoted(malformed[0].attributes[ATTEMPT])
        yield Damage(
            place,
            f"{_trials(malformed)}: the attribute {ATTEMPT} is malformed, such as {value}, so they count for nothing",
            "if they were runs, restore the storage from a copy; else leave them",
        )
    ended = [record for record in foreign if record.state not in OPEN]
    if ended:
        yield Damage(
            place,
            f"{_trials(ended)}: the attribute {ATTEMPT} is missing, so they count for nothing",
            "if another program added them, leave them; else restore the storage from a copy",
        )
    bare = [
        entry.record
        for entry in sweep.known_entries()
        if entry.record.state == "COMPLETE" and values_of(entry, sweep.config) is None
    ]
    if bare:
        yield Damage(
            place,
            f"{_trials(bare)}: runs have finished, but some of their parameters are missing",
            "restore the storage from a copy; until then the runs are compared without parameters",
        )


def _trials(records: list[TrialRow]) -> str:
    shown = ", ".join(str(record.number) for record in records[:_SHOWN])
    more = f" and {len(records) - _SHOWN} more" if len(records) > _SHOWN else ""
    return f"{counted(len(records), 'trial')} ({shown}{more})"
