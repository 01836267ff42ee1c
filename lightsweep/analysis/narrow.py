"""Where to look next for one parameter: its block in the next sweep file, from what the best runs had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightsweep.analysis.bounds import Bounds, refined_bounds
from lightsweep.analysis.normals import refined_normal
from lightsweep.analysis.words import shown
from lightsweep.space import (
    Beta,
    Categorical,
    Distribution,
    IntUniform,
    InvLogUniform,
    LogNormal,
    LogUniform,
    Normal,
    Quantized,
    identity,
)

__all__ = ["Block", "fixed", "narrow"]

_FEW = 2
"""A value that was tried less often than this has had no chance yet."""


@dataclass(frozen=True)
class Block:
    """A parameter in the next sweep file.

    Attributes:
        keys: What stands below its name.
        comment: What was done and why, in one line.
    """

    keys: dict[str, Any]
    comment: str


def fixed(value: Any, why: str) -> Block:
    """The parameter at one value."""
    return Block({"value": value}, f"fixed at the best run's value: {why}")


def narrow(
    distribution: Distribution, keys: Mapping[str, Any], best: Any, top: Sequence[Any], tried: Sequence[Any]
) -> Block:
    """The parameter around the values of the best runs.

    Numbers between bounds get bounds around them with a margin, on a logarithmic axis where theirs is one; the
    bound at which the best run lies is moved outwards. Of a list those values stay that a good run had, or that were
    hardly tried. A normal distribution moves and gets narrower.

    Args:
        distribution: The parameter's.
        keys: Its block in the sweep file.
        best: The value of the best run.
        top: The values of the best runs, that of the best one among them.
        tried: The values of all runs.
    """
    if isinstance(distribution, Categorical):
        return _choices(distribution, keys, best, top, tried)
    base = distribution.base if isinstance(distribution, Quantized) else distribution
    step = distribution.q if isinstance(distribution, Quantized) else None
    prefix = "q_" if step is not None else ""
    rest: dict[str, Any] = {} if step is None else {"q": step}
    if isinstance(base, (Normal, LogNormal)):
        mu, sigma, comment = refined_normal(base, top)
        return Block({"distribution": f"{prefix}{base.name}", "mu": mu, "sigma": sigma, **rest}, comment)
    whole = isinstance(base, IntUniform)
    is_log = isinstance(base, (LogUniform, InvLogUniform))
    if isinstance(base, IntUniform):
        low, high, name = float(base.low), float(base.high), base.name
    elif isinstance(base, Beta):
        low, high, name = 0.0, 1.0, "uniform"
    else:
        low, high = base.support  # type: ignore[attr-defined]  # every other distribution is continuous
        name = base.name if base.name.endswith("_values") or not is_log else f"{base.name}_values"
    old = Bounds(low, high, log=is_log, step=1 if whole else step, closed=isinstance(base, Beta))
    new, comment = refined_bounds(old, float(best), [float(value) for value in top])
    return Block({"distribution": prefix + name, "min": new[0], "max": new[1], **rest}, comment)


def _choices(
    distribution: Categorical, keys: Mapping[str, Any], best: Any, top: Sequence[Any], tried: Sequence[Any]
) -> Block:
    values = [distribution.value_at(index) for index in range(distribution.size)]
    keep = _kept(distribution, values, best, top, tried)
    kept = [value for value, stays in zip(values, keep, strict=True) if stays]
    weights = [weight for weight, stays in zip(distribution.weights(), keep, strict=True) if stays]
    dropped = [value for value, stays in zip(values, keep, strict=True) if not stays]
    comment = (
        f"without {', '.join(map(shown, dropped))}: none of the best runs had {'them' if len(dropped) > 1 else 'it'}"
        if dropped
        else "all values stay: the best runs are spread over them, or they were hardly tried"
    )
    added = _beyond(values, best, top) if distribution.ordered else None
    if added is not None:
        kept = [added, *kept] if added < values[0] and values[0] < values[-1] else [*kept, added]
        weights = [*weights, min(weights)] if kept[-1] is added else [min(weights), *weights]
        comment = f"widened to {shown(added)}, as the best run is at the edge, {shown(best)}; {comment}"
    if len(kept) == 1:
        return Block({"value": kept[0]}, f"fixed, as all of the best runs had it; {comment}")
    block: dict[str, Any] = {"values": kept}
    if distribution.probabilities is not None:
        block = {"distribution": distribution.name, **block, "probabilities": _probabilities(weights)}
    elif "distribution" in keys:
        block = {"distribution": distribution.name, **block}
    return Block(block, comment)


def _kept(
    distribution: Categorical, values: Sequence[Any], best: Any, top: Sequence[Any], tried: Sequence[Any]
) -> list[bool]:
    """Which values stay."""
    good = {identity(value) for value in top}
    times: dict[Any, int] = {}
    for value in tried:
        times[identity(value)] = times.get(identity(value), 0) + 1
    if not distribution.ordered:
        return [identity(value) in good or times.get(identity(value), 0) < _FEW for value in values]
    ranked = sorted(values)
    places = sorted(place for place, value in enumerate(ranked) if identity(value) in good)
    at = next(place for place, value in enumerate(ranked) if identity(value) == identity(best))
    first, last = min(places[0], at - 1), max(places[-1], at + 1)  # and the best one's neighbours
    return [first <= ranked.index(value) <= last for value in values]


def _beyond(values: Sequence[Any], best: Any, top: Sequence[Any]) -> Any:
    """The number that goes on with a list beyond the edge at which the best runs are; ``None`` for none."""
    ranked = sorted(values)
    if len(ranked) < 3 or best not in (ranked[0], ranked[-1]) or 2 * sum(value == best for value in top) < len(top):
        return None
    up = best == ranked[-1]
    edge, inner, after = (ranked[-1], ranked[-2], ranked[-3]) if up else (ranked[0], ranked[1], ranked[2])
    if 0 not in (inner, after) and ranked[0] > 0 and abs(edge / inner - inner / after) < 1e-6 * abs(edge / inner):
        found = edge * edge / inner
    elif abs((edge - inner) - (inner - after)) < 1e-6 * abs(edge - inner):
        found = edge + (edge - inner)
    else:
        return None
    if all(isinstance(value, int) for value in ranked):
        if found != int(found):
            return None
        found = int(found)
    else:
        found = float(f"{found:.12g}")
    sign_kept = found > 0 if ranked[0] > 0 else found >= 0 if ranked[0] == 0 else True
    is_share = ranked[0] >= 0 and ranked[-1] <= 1 and not all(isinstance(value, int) for value in ranked)
    return found if sign_kept and not (is_share and found >= 1) else None


def _probabilities(weights: Sequence[float]) -> list[float]:
    """The weights, scaled to a sum of 1 to within rounding."""
    total = sum(weights)
    return [float(f"{weight / total:.9g}") for weight in weights]
