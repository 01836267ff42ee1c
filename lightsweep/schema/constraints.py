"""Read ``lightsweep.constraints``: bounds that the logged numbers of a run must keep."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from lightsweep.schema.diagnostics import Faults, Spot
from lightsweep.text import number, quoted

PATH = ("lightsweep", "constraints")

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_CONSTRAINT = re.compile(rf"\s*([^\s<>=!*+()](?:[^<>=!*+()]*[^\s<>=!*+()])?)\s*(<=|>=|<|>)\s*({_NUMBER})\s*")
_TURNED = re.compile(rf"\s*({_NUMBER})\s*(<=|>=|<|>)\s*([^\s<>=!*+()]+)\s*")
_OTHER_WAY = {"<=": ">=", ">=": "<=", "<": ">", ">": "<"}


@dataclass(frozen=True)
class Constraint:
    """A bound of a number that runs log.

    Attributes:
        metric: The name of the number.
        sign: ``<=``, ``<``, ``>=`` or ``>``.
        bound: The number on the other side.
    """

    metric: str
    sign: str
    bound: float

    def __str__(self) -> str:
        return f"{self.metric} {self.sign} {self.bound:g}"

    def excess(self, value: float) -> float:
        """Return how far a value is beyond the bound; negative, or 0, if it is not. NaN is infinitely far."""
        beyond = value - self.bound if self.sign in ("<=", "<") else self.bound - value
        at_bound = beyond == 0 and self.sign in ("<", ">")
        return math.inf if math.isnan(beyond) else math.ulp(self.bound) if at_bound else beyond

    def keeps(self, value: float) -> bool:
        """Return whether a value keeps the constraint."""
        return self.excess(value) <= 0

    def agrees(self, other: Constraint) -> bool:
        """Return whether a number can keep this and another constraint, which is a bound on the other side."""
        beyond = self.excess(other.bound)
        return beyond < 0 or (beyond == 0 and other.keeps(self.bound))

    def breach(self, last: float | None) -> str:
        """Return how a run that has ended breaks it: ``latency_ms <= 20: 31.2``; empty if it does not.

        Args:
            last: The last value that the run logged; ``None`` if it logged none.
        """
        if last is None:
            return f"{self}: not logged"
        return "" if self.keeps(last) else f"{self}: {number(last)}"


def read_constraints(value: Any, parameters: Collection[str], faults: Faults) -> tuple[Constraint, ...]:
    """Return the constraints; mistakes go to ``faults``.

    Args:
        value: A list of texts, or one; ``None`` without constraints.
        parameters: The names of the parameters, which no constraint is about.
        faults: Takes the mistakes.
    """
    at = faults.at(*PATH)
    if value is None:
        return ()
    if not isinstance(value, (list, str)) or not value:
        at.error(f"constraints must be a list such as [latency_ms <= 20]; got {quoted(value)}")
        return ()
    texts = [value] if isinstance(value, str) else value
    read = [_read(each, parameters, at if isinstance(value, str) else at[place]) for place, each in enumerate(texts)]
    found = tuple(constraint for constraint in read if constraint is not None)
    for one, other in combinations(found, 2):
        if one.metric == other.metric and one.sign[0] != other.sign[0] and not one.agrees(other):
            at.key_error(f"no number keeps both {one} and {other}; change one of them")
    return found


def _read(text: Any, parameters: Collection[str], at: Spot) -> Constraint | None:
    found = _CONSTRAINT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        turned = _TURNED.fullmatch(text) if isinstance(text, str) else None
        remedy = f"write {turned[3]} {_OTHER_WAY[turned[2]]} {turned[1]}" if turned else "for example latency_ms <= 20"
        at.error(
            f"a constraint is the name of a logged number, <=, <, >= or >, and a number; {remedy}; got {quoted(text)}"
        )
        return None
    if found[1] in parameters:
        remedy = "limit its values under parameters, or log it as a number of another name"
        at.error(f"{found[1]!r} is a parameter, and a constraint is about a number that runs log; {remedy}")
        return None
    return Constraint(found[1], found[2], float(found[3]))
