"""Blocks about the results of runs: constraints on them, repeats scored together, conditions that end the sweep."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Annotated, Any

from lightsweep.schema import fields
from lightsweep.schema.diagnostics import Faults, Spot
from lightsweep.text import counted, number, quoted

_Count = Annotated[int, fields.number(whole=True, least=1, most=1000)]


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """The same values are trained several times, each with another seed, and scored by the mean.

    Attributes:
        count: How many runs each choice of values has; each counts in run_cap. At most 1,000.
        seed: The name of the parameter that brings the seed to the script.
    """

    count: _Count
    seed: fields.Text = "seed"


REPEATS: fields.Schema = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 1000}, fields.ref("repeats")]}


def read_repeats(value: Any, raw: Mapping[str, Any], names: Iterable[str], faults: Faults) -> Repeats | None:
    """Return the repeats of a config; ``None`` for none, for one, or if they are wrong, which is then noted.

    Args:
        value: The number of repeats, or the block, as written.
        raw: The whole config.
        names: The names of the parameters.
        faults: Takes the mistakes.
    """
    at = faults.at("lightsweep", "repeats")
    if value is None:
        return None
    whole = isinstance(value, Mapping)
    found = fields.check(Repeats, value, at, "repeats") if whole else None
    if not whole:
        try:
            found = Repeats(count=fields.keys_of(Repeats)["count"].rule.read(value))
        except ValueError as error:
            at.error(f"repeats {error}; or write a mapping such as {{count: 3, seed: seed}}")
    if found is None or found.count == 1:
        return None
    if raw.get("metric") is None:
        at.key_error("repeats need the key 'metric': the values are scored by the mean of one metric over the repeats")
    if raw.get("scheduler") is not None or raw.get("method") == "custom":
        at.key_error("repeats cannot be combined with `scheduler` or method custom; remove one of them")
    if isinstance(cap := raw.get("run_cap"), int) and cap < found.count:
        at.key_warning(f"run_cap {cap} ends the sweep before any values have all {found.count} repeats")
    for name in names:
        if name == found.seed or name.startswith(f"{found.seed}.") or found.seed.startswith(f"{name}."):
            faults.at("parameters", *name.split(".")[:1]).key_error(
                f"repeats give each run its own {found.seed!r}, so this parameter cannot have that name; remove it, or "
                f"write repeats: {{count: {found.count}, seed: ANOTHER_NAME}}"
            )
    return found


MODEL_PARAMETERS = 20
"""The most searched parameters for which sampler auto is a Gaussian process."""

_Positive = Annotated[float, fields.number(above=0)]


@dataclass(frozen=True, kw_only=True)
class StopWhen:
    """The sweep starts no further run once one of these holds; running runs end normally.

    Attributes:
        no_better_in: This many runs have ended since the last new best, or with several metrics since the last one that
            entered the Pareto front.
        expected_gain: The model expects less improvement from a further run, in units of the metric; bayes only.
        hours: This many hours have passed since the first run started; pauses count.
        epochs: All runs together have this many iterations.
    """

    no_better_in: fields.Natural | None = None
    expected_gain: _Positive | None = None
    hours: _Positive | None = None
    epochs: fields.Natural | None = None

    def texts(self, *, several: bool = False) -> list[str]:
        """Return the conditions in words: ``30 runs without a new best``; ``several`` metrics have a Pareto front."""
        found = [
            _no_better(self.no_better_in, several) if self.no_better_in is not None else "",
            f"an expected gain below {number(self.expected_gain)}" if self.expected_gain is not None else "",
            f"{number(self.hours)} hour{'' if self.hours == 1 else 's'}" if self.hours is not None else "",
            f"{counted(self.epochs, 'iteration')} of all runs" if self.epochs is not None else "",
        ]
        return [text for text in found if text]


def _no_better(runs: int, several: bool) -> str:
    return f"{counted(runs, 'run')} without a new {'one on the Pareto front' if several else 'best'}"


def read_stop_when(value: Any, raw: Mapping[str, Any], sampler: str, searched: int, faults: Faults) -> StopWhen | None:
    """Return the block ``stop_when``; ``None`` if there is none, or if it is wrong, which is then noted.

    Args:
        value: The block as written.
        raw: The whole config.
        sampler: The sampler of method bayes.
        searched: The number of searched parameters.
        faults: Takes the mistakes.
    """
    at = faults.at("lightsweep", "stop_when")
    block = None if value is None else fields.check(StopWhen, value, at, "stop_when")
    if block is None:
        return None
    given = fields.given(vars(block))
    if not given:
        at.key_error(f"stop_when has no condition; give one of {', '.join(vars(block))}")
    for key in {"no_better_in", "expected_gain"} & given.keys():
        if raw.get("metric") is None and raw.get("metrics") is None:
            at[key].key_error(f"{key} needs the key 'metric' with the name that the training script logs")
    runs, cap = block.no_better_in, raw.get("run_cap")
    if runs is not None and isinstance(cap, int) and cap <= runs:
        several = raw.get("metrics") is not None
        at["no_better_in"].key_warning(f"run_cap {cap} ends the sweep before {_no_better(runs, several)}")
    if "expected_gain" in given:
        if raw.get("method") != "bayes" or raw.get("metric") is None or sampler not in ("auto", "gp"):
            at["expected_gain"].key_error(
                "expected_gain needs the Gaussian process: method bayes, one metric, sampler auto or gp; "
                "use no_better_in instead"
            )
        elif sampler == "auto" and searched > MODEL_PARAMETERS:
            at["expected_gain"].key_error(
                f"expected_gain needs the Gaussian process, and sampler auto is TPE with more than {MODEL_PARAMETERS} "
                f"parameters; this sweep searches {searched}; write sampler: gp, or use no_better_in"
            )
    return block


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
    at = faults.at("lightsweep", "constraints")
    if value is None:
        return ()
    if not isinstance(value, (list, str)) or not value:
        at.error(f"constraints must be a list such as [latency_ms <= 20]; got {quoted(value)}")
        return ()
    texts = [value] if isinstance(value, str) else value
    read = [
        _read_constraint(each, parameters, at if isinstance(value, str) else at[place])
        for place, each in enumerate(texts)
    ]
    found = tuple(constraint for constraint in read if constraint is not None)
    for one, other in combinations(found, 2):
        if one.metric == other.metric and one.sign[0] != other.sign[0] and not one.agrees(other):
            at.key_error(f"no number keeps both {one} and {other}; change one of them")
    return found


def _read_constraint(text: Any, parameters: Collection[str], at: Spot) -> Constraint | None:
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
