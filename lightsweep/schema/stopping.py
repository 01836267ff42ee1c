"""The rule by which runs are stopped early: W&B's key ``early_terminate``, or ``lightsweep.stopping``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from lightsweep.hyperband import Hyperband, Rule
from lightsweep.schema import fields
from lightsweep.schema.diagnostics import Faults, Spot, hint
from lightsweep.space import Space
from lightsweep.stopping import Expected, Halving, Median
from lightsweep.text import quoted

MAX_ITERATIONS = 10**15

_LENGTH = re.compile(
    r"(?:max|num|n|total|training|(?:num_)?train)?_?(?:epochs?|steps|iters?|iterations)", re.IGNORECASE
)
"""Names of parameters that give the length of training."""


Iterations = Annotated[int, fields.number(whole=True, least=1, most=MAX_ITERATIONS)]


@dataclass(frozen=True, kw_only=True)
class EarlyTerminate:
    """Stops runs that fall behind. Needs ``min_iter``, or ``max_iter`` and ``s``.

    Attributes:
        type: How runs are judged; hyperband is the only way.
        min_iter: The first band; each next one is eta times as far, without end.
        max_iter: The bands are max_iter / eta, max_iter / eta^2, ...; max_iter is not a band. Overrides min_iter.
        s: The number of bands below max_iter.
        eta: About one run in eta continues beyond each band. Greater than 1.
        strict: true: a run is judged by its value at the band; false: by its best value so far.
    """

    type: Literal["hyperband"]
    min_iter: Iterations | None = None
    max_iter: Iterations | None = None
    s: Annotated[int, fields.number(whole=True, least=1, most=1000)] | None = None
    eta: Annotated[float, fields.number(above=1, most=10**6)] = 3
    strict: fields.Truth = True


@dataclass(frozen=True, kw_only=True)
class _Bands:
    min_iter: Iterations = 1


@dataclass(frozen=True, kw_only=True)
class ExpectedKeys(_Bands):
    """Stops a run once it is unlikely to end better than the best run so far.

    Attributes:
        type: The rule.
        miss: The greatest chance, at each band, that a run would have become the best and is stopped.
        min_iter: The first band: no run is stopped earlier.
    """

    type: Literal["expected"]
    miss: Annotated[float, fields.number(above=0, most=0.5)] = 0.02


@dataclass(frozen=True, kw_only=True)
class HalvingKeys(_Bands):
    """Stops all but the best 1/eta of the runs at each band, judged by their best values so far.

    Attributes:
        type: The rule.
        eta: About one run in eta continues beyond each band; each band is eta times as far as the one before.
        min_iter: The first band.
    """

    type: Literal["halving"]
    eta: Annotated[float, fields.number(above=1, most=10**6)] = 3


@dataclass(frozen=True, kw_only=True)
class MedianKeys(_Bands):
    """Stops a run whose best value so far is worse than the median of the other runs at the same band.

    Attributes:
        type: The rule.
        min_runs: Other runs that must have reached a band before a run is stopped there.
        min_iter: The first band: no run is stopped earlier.
    """

    type: Literal["median"]
    min_runs: Annotated[int, fields.number(whole=True, least=1, most=10**6)] = 4


STOPPING: dict[str, tuple[type, Callable[..., Rule]]] = {
    "expected": (ExpectedKeys, Expected),
    "halving": (HalvingKeys, Halving),
    "median": (MedianKeys, Median),
}
"""The rules that ``lightsweep.stopping`` names: the keys of each, and its class, which takes them without ``type``."""


def read_rule(early: Any, at_early: Spot, own: Any, at_own: Spot) -> Rule | None:
    """Return the rule that one of two keys asks for; ``None`` if neither does, or if it is wrong, which is then noted.

    Args:
        early: The value of ``early_terminate``.
        at_early: Its place.
        own: The value of ``stopping``.
        at_own: Its place.
    """
    rules = [read_early_terminate(early, at_early), _read_own(own, at_own)]
    if early is not None and own is not None:
        line = f" (line {at_early.line})" if at_early.line else ""
        at_own.key_error(f"stopping and early_terminate{line} both stop runs early; remove one of them")
    return next((rule for rule in rules if rule is not None), None)


def _read_own(value: Any, at: Spot) -> Rule | None:
    if value is None:
        return None
    block = {"type": value} if isinstance(value, str) else value
    name = block.get("type") if isinstance(block, Mapping) else None
    if name in STOPPING:
        keys, rule = STOPPING[name]
        found = fields.check(keys, block, at, f"stopping by {name}")
        return rule(**{key: item for key, item in vars(found).items() if key != "type"}) if found else None
    names = ", ".join(STOPPING)
    if name == "hyperband":
        at.error("hyperband is not a rule of stopping; write it as W&B does, under early_terminate at the top")
    elif isinstance(name, str):
        at.error(f"stopping must be one of {names}; got {quoted(name)}{hint(name, STOPPING)}")
    else:
        guess = (
            next((found for key in block if (found := hint(key, ["type"]))), "") if isinstance(block, Mapping) else ""
        )
        at.error(f"stopping must be one of {names}, or a mapping with type; got {quoted(value)}{guess}")
    return None


def read_early_terminate(value: Any, at: Spot) -> Hyperband | None:
    """Return the hyperband at a place; ``None`` if there is none, or if it is wrong, which is then noted."""
    before = at.faults.count
    if isinstance(value, dict) and value.get("type") in (None, "hyperband"):
        keys = fields.given(value).keys()
        lack = "s is missing" if "max_iter" in keys else "max_iter is missing" if "s" in keys else "neither is given"
        if "min_iter" not in keys and not {"max_iter", "s"} <= keys:
            at.key_error(f"hyperband needs min_iter, or max_iter and s; {lack}")
    block = None if value is None else fields.check(EarlyTerminate, value, at, "early_terminate")
    if block is None or at.faults.count > before:
        return None
    by_max = block.max_iter is not None and block.s is not None
    if by_max and block.min_iter is not None:
        at["min_iter"].key_warning("min_iter has no effect beside max_iter and s, from which the bands follow")
    if not by_max and block.max_iter is not None:
        at["max_iter"].key_warning("max_iter has no effect without s: the bands follow from min_iter")
    if not by_max and block.s is not None:
        at["s"].key_warning("s has no effect without max_iter: the bands from min_iter have no end")
    min_iter, max_iter, s = (None, block.max_iter, block.s) if by_max else (block.min_iter, None, None)
    return Hyperband(min_iter=min_iter, max_iter=max_iter, s=s, eta=block.eta, strict=block.strict)


def warn_of_last_bands(space: Space, rules: Iterable[Rule | None], faults: Faults) -> None:
    """Warn of each constant that looks like the length of training, such as ``epochs``, and is a band of hyperband."""
    for parameter in space.parameters:
        length = parameter.distribution.value_at(0) if parameter.distribution.size == 1 else None
        name = parameter.name.rpartition(".")[2].replace("-", "_")
        if not _LENGTH.fullmatch(name) or isinstance(length, bool) or not isinstance(length, (int, float)):
            continue
        for hyperband in dict.fromkeys(each for each in rules if isinstance(each, Hyperband)):
            bands = hyperband.bands(upto=int(length)) if 1 <= length <= MAX_ITERATIONS else ()
            if bands[-1:] == (length,):
                remedy = f"use max_iter: {length:g} with s: {len(bands) - 1}" if len(bands) > 1 else "use other bands"
                faults.at(*[part for name in parameter.path for part in ("parameters", name)]).key_warning(
                    f"{length:g} is a band: a run stopped there has trained to the end, but skips "
                    f"the code after training (test, save); {remedy}, so that the last band is earlier"
                )
