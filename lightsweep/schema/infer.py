"""Which distribution the keys of a parameter mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightsweep.schema.distributions import DISTRIBUTIONS
from lightsweep.schema.faults import Faults, Path
from lightsweep.schema.plain import shown
from lightsweep.schema.words import hint

__all__ = ["GROUP", "KEYS", "distribution_of"]

GROUP = "parameters"
KEYS = (
    "distribution", "value", "values", "probabilities", "min", "max", "q", "mu", "sigma", "a", "b", GROUP,
)  # fmt: skip


def distribution_of(keys: Mapping[str, Any], path: Path, faults: Faults) -> str | None:
    """The name of the distribution that ``keys`` name or imply; ``None`` with a fault where they do neither.

    ``parameters`` (a nested group) is not looked at. Integers as both bounds imply ``int_uniform``, any other bounds
    ``uniform``.
    """
    name = keys.get("distribution")
    if name is not None:
        if isinstance(name, str) and name in DISTRIBUTIONS:
            return name
        guess = hint(name, DISTRIBUTIONS) if isinstance(name, str) else ""
        known = ", ".join(DISTRIBUTIONS)
        faults.error(
            (*path, "distribution"), f"there is no distribution {shown(name)}{guess or '.'} Known ones: {known}"
        )
        return None
    if "probabilities" in keys:
        return "categorical_w_probabilities"
    for key, implied in (("values", "categorical"), ("value", "constant")):
        if key in keys:
            return implied
    if "min" in keys or "max" in keys:
        if "q" in keys:
            faults.error((*path, "q"), "q needs a distribution: write distribution: q_uniform", key=True)
            return None
        whole = all(isinstance(keys.get(key, 0), int) for key in ("min", "max"))
        return "int_uniform" if whole else "uniform"
    for some, names in ((("mu", "sigma"), "normal or distribution: log_normal"), (("a", "b"), "beta")):
        found = [key for key in some if key in keys]
        if found:
            faults.error(path, f"{' and '.join(found)} without a distribution; write distribution: {names}", key=True)
            return None
    faults.error(path, "a parameter needs value, values, or min and max; it has none of them", key=True)
    return None
