"""The rule by which runs are stopped early: W&B's key ``early_terminate``, or ``lightsweep.stopping``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from lightsweep.hyperband import Hyperband, Rule
from lightsweep.schema import fields
from lightsweep.schema.diagnostics import Faults, Spot
from lightsweep.space import Space

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


def warn_of_last_bands(space: Space, hyperbands: Iterable[Hyperband | None], faults: Faults) -> None:
    """Warn of each constant that looks like the length of training, such as ``epochs``, and equals a band."""
    for parameter in space.parameters:
        length = parameter.distribution.value_at(0) if parameter.distribution.size == 1 else None
        name = parameter.name.rpartition(".")[2].replace("-", "_")
        if not _LENGTH.fullmatch(name) or isinstance(length, bool) or not isinstance(length, (int, float)):
            continue
        for hyperband in dict.fromkeys(each for each in hyperbands if each is not None):
            bands = hyperband.bands(upto=int(length)) if 1 <= length <= MAX_ITERATIONS else ()
            if bands[-1:] == (length,):
                remedy = f"use max_iter: {length:g} with s: {len(bands) - 1}" if len(bands) > 1 else "use other bands"
                faults.at(*[part for name in parameter.path for part in ("parameters", name)]).key_warning(
                    f"{length:g} is a band: a run stopped there has trained to the end, but skips "
                    f"the code after training (test, save); {remedy}, so that the last band is earlier"
                )

