"""Hyperband early termination: the keys of ``early_terminate``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from lightsweep.hyperband import Hyperband
from lightsweep.schema.blocks import Block, Natural, Number, Truth, check, given
from lightsweep.schema.faults import Faults, Path
from lightsweep.schema.plain import shown

__all__ = ["EarlyTerminate", "read_early_terminate"]

PATH: Path = ("early_terminate",)

MAX_ITERATIONS = 10**15
MAX_ETA = 10**6
MAX_BANDS = 1000


def _eta(value: object) -> object:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not 1 < value <= MAX_ETA:
        raise ValueError(f"must be greater than 1 and at most {MAX_ETA}, got {shown(value)}")
    return value


def _at_most(limit: int) -> AfterValidator:
    def bounded(value: int) -> int:
        if value > limit:
            raise ValueError(f"must be at most {limit}, got {shown(value)}")
        return value

    return AfterValidator(bounded)


Iterations = Annotated[Natural, _at_most(MAX_ITERATIONS)]


class EarlyTerminate(Block):
    """Stops runs that fall behind. Needs ``min_iter``, or ``max_iter`` and ``s``."""

    type: Literal["hyperband"]
    """How runs are judged; hyperband is the only way."""
    min_iter: Iterations | None = None
    """The first band; the following ones are eta times as far, without end."""
    max_iter: Iterations | None = None
    """The bands are max_iter / eta, max_iter / eta^2, ...; max_iter itself is none. Wins over min_iter."""
    s: Annotated[Natural, _at_most(MAX_BANDS)] | None = None
    """How many bands max_iter is divided into."""
    eta: Annotated[Number, BeforeValidator(_eta), WithJsonSchema({"type": "number", "exclusiveMinimum": 1})] = 3
    """At each band about one run in eta goes on. Greater than 1."""
    strict: Truth = True
    """true: a run is judged by its value at the band; false: by its best value so far."""


def read_early_terminate(value: Any, faults: Faults, path: Path = PATH) -> Hyperband | None:
    """The hyperband at ``path``; ``None`` where there is none or where it is wrong, which ``faults`` then knows."""
    if value is None:
        return None
    before = faults.count
    if isinstance(value, dict):
        _check_keys(given(value), path, faults)
    block = check(EarlyTerminate, value, path, faults, "early_terminate")
    if block is None or faults.count > before:
        return None
    min_iter, max_iter = block.min_iter, block.max_iter
    if max_iter is not None and block.s is None:
        faults.warn((*path, "max_iter"), "max_iter does nothing without s: the bands follow from min_iter", key=True)
        max_iter = None
    elif max_iter is not None and min_iter is not None:
        faults.warn(
            (*path, "min_iter"), "min_iter does nothing beside max_iter and s: the bands follow from those", key=True
        )
        min_iter = None
    s = block.s
    if max_iter is None and s is not None:
        faults.warn((*path, "s"), "s does nothing without max_iter: with min_iter the bands have no end", key=True)
        s = None
    return Hyperband(min_iter=min_iter, max_iter=max_iter, s=s, eta=block.eta, strict=block.strict)


def _check_keys(keys: dict[str, Any], path: Path, faults: Faults) -> None:
    if keys.get("type", "hyperband") != "hyperband" or "min_iter" in keys or {"max_iter", "s"} <= keys.keys():
        return
    lack = "s is missing" if "max_iter" in keys else "max_iter is missing" if "s" in keys else "neither is given"
    faults.error(path, f"hyperband needs min_iter, or max_iter and s; {lack}", key=True)
