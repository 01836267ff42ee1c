"""One trial of a storage as a row, and the right to add one; see :mod:`lightsweep.storage.sql_trials`."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution

Parameters = Mapping[str, tuple[BaseDistribution, Any]]
"""For each parameter its Optuna distribution and the value in Optuna's external representation."""

OPEN = frozenset({"RUNNING", "WAITING"})
"""The states of a trial that has not ended."""


class StoredAttributes(Mapping[str, Any]):
    """User attributes of a trial as the storage has them, decoded at each access: of most trials few are needed.

    Args:
        listed: The name and the JSON of each attribute, with ``NAME_ENDS`` between them and ``ATTRIBUTE_ENDS`` between
            attributes: JSON has no control characters.
    """

    NAME_ENDS, ATTRIBUTE_ENDS = "\2", "\1"

    __slots__ = ("_listed",)

    def __init__(self, listed: str) -> None:
        self._listed = listed

    def _texts(self) -> dict[str, str]:
        pairs = (each.partition(self.NAME_ENDS) for each in self._listed.split(self.ATTRIBUTE_ENDS) if each)
        return {name: text for name, _, text in pairs}

    def _text(self, name: object) -> str | None:
        """Return the JSON of one attribute, found without a split into all; ``None`` without it."""
        begin = f"{name}{self.NAME_ENDS}"
        at = 0 if self._listed.startswith(begin) else self._listed.find(self.ATTRIBUTE_ENDS + begin) + 1 or -1
        if at < 0:
            return None
        return self._listed[at + len(begin) :].partition(self.ATTRIBUTE_ENDS)[0]

    def __getitem__(self, name: str) -> Any:
        text = self._text(name)
        if text is None:
            raise KeyError(name)
        return json.loads(text)

    def get(self, name: str, default: Any = None) -> Any:
        text = self._text(name)  # an exception for each attribute that a trial lacks would cost more
        return default if text is None else json.loads(text)

    def __contains__(self, name: object) -> bool:
        return self._text(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts())

    def __len__(self) -> int:
        return len(self._texts())

    def __repr__(self) -> str:
        return repr(dict(self))

    def mentions(self, word: str) -> bool:
        """Return whether the name or the JSON of an attribute has this text anywhere."""
        return word in self._listed


@dataclass(slots=True)
class TrialRow:
    """One trial as the storage has it.

    Attributes:
        trial_id: Optuna's key of the trial.
        number: Position in the study, from 0 without gaps.
        state: ``RUNNING``, ``COMPLETE``, ``PRUNED``, ``FAIL`` or ``WAITING``.
        parameters: Parameter name -> value in Optuna's external representation; empty until they are read, see
            :meth:`TrialReader.complete`.
        attributes: User attributes.
        reports: Every value reported, in order of the steps, NaN and infinities included.
        last_step: Step of the last of ``reports``.
        started, ended: Times in UTC; ``None`` if not yet.
    """

    trial_id: int
    number: int
    state: str
    parameters: dict[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    reports: array[float] = field(default_factory=lambda: array("d"))
    last_step: int = -(2**31)
    started: datetime | None = None
    ended: datetime | None = None

    def mentions(self, word: str) -> bool:
        """Return False if no attribute has the name ``word`` anywhere in its JSON; none is decoded for that."""
        return not isinstance(self.attributes, StoredAttributes) or self.attributes.mentions(f'"{word}"')


OpenTrials = Mapping[int, TrialRow]
"""Trials that had not ended at the last look, by Optuna's key."""


@dataclass(frozen=True)
class Claim:
    """The right to add the next trial of a study.

    Attributes:
        number: The trial's position in the study, from 0.
        news: An attribute of each trial that was added since the last look; ``None`` for a trial without it.
        add: Begins a trial with these attributes, parameters and reports (of the steps from 1), and with a heartbeat;
            returns Optuna's key of it. To be called once.
    """

    number: int
    news: Sequence[Any]
    add: Callable[[Mapping[str, Any], Parameters, Sequence[float]], int]
