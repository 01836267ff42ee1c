"""From the ``parameters`` of a sweep file to the parameters of a space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lightsweep.schema.diagnostics import Faults, KeyPath, dotted, hint, one_edit_away, shown
from lightsweep.schema.distributions import DISTRIBUTIONS
from lightsweep.schema.fields import given, read_keys
from lightsweep.space import Constant, Distribution, Parameter

__all__ = [
    "EXPONENTS",
    "GROUP",
    "Parameters",
    "distribution_of",
    "is_listable",
    "known_keys",
    "note_not_listable",
    "read_parameters",
    "warn_of_grid",
]

GROUP = "parameters"
EXPONENTS = {name: f"{name}_values" for name in DISTRIBUTIONS if f"{name}_values" in DISTRIBUTIONS}
"""Distributions whose bounds are exponents, and those with the values as bounds."""


def known_keys() -> list[str]:
    """Return every key that a parameter can have."""
    return ["distribution", *dict.fromkeys(key for form in DISTRIBUTIONS.values() for key in form.keys), GROUP]


def distribution_of(keys: Mapping[str, Any], path: KeyPath, faults: Faults) -> str | None:
    """The name of the distribution that ``keys`` name or imply; ``None`` with a fault where they do neither.

    ``parameters`` (a nested group) is not looked at. Integers as both bounds imply ``int_uniform``, any other bounds
    ``uniform``.
    """
    name = keys.get("distribution")
    if name is not None:
        if isinstance(name, str) and name in DISTRIBUTIONS:
            return name
        guess = hint(name, DISTRIBUTIONS) if isinstance(name, str) else ""
        if any(isinstance(keys.get(key), (int, float)) and keys[key] > 0 for key in ("min", "max")):
            for exponents in EXPONENTS:  # bounds above 0 are meant as values
                guess = guess.replace(f"{exponents!r}", f"{EXPONENTS[exponents]!r}")
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


MAX_EXPONENT = 709  # exp of more is no float
MAX_NAME = 500  # an Optuna storage holds 512
MAX_PARAMETERS = 10_000


@dataclass
class Parameters:
    """What was read.

    Attributes:
        good: The parameters without a fault.
        places: Every dotted name, the faulty ones included, and where it stands in the file.
    """

    good: list[Parameter] = field(default_factory=list)
    places: dict[str, KeyPath] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """What ``command`` may name: every parameter, and each group at the top."""
        return {*self.places, *(str(path[1]) for path in self.places.values())}


def read_parameters(value: Any, method: object, faults: Faults) -> Parameters:
    """The parameters below ``parameters``, nested groups included.

    Args:
        value: What stands there, as ``plain`` made it.
        method: The method by which all of them are searched: ``grid`` allows only what can be listed.
        faults: Takes the mistakes.
    """
    found = Parameters()
    _read_group(value, (GROUP,), (), method, found, faults)
    _check_inside(found, faults)
    return found


def _read_group(
    value: Any, path: KeyPath, names: tuple[str, ...], method: object, found: Parameters, faults: Faults
) -> None:
    if not isinstance(value, Mapping):
        faults.error(path, f"parameters must be a mapping of names to parameters, got {shown(value)}")
        return
    if not value:
        faults.error(path, "parameters holds no parameter", key=True)
    for name, item in value.items():
        place = (*path, name)
        if not name:
            faults.error(place, "the name of a parameter must not be empty", key=True)
            continue
        if isinstance(item, Mapping) and item.get(GROUP) is not None:
            _check_group_keys(item, place, faults)
            _read_group(item[GROUP], (*place, GROUP), (*names, name), method, found, faults)
            continue
        full = (*names, name)
        whole = ".".join(full)
        if len(whole) > MAX_NAME:
            faults.error(
                place,
                f"the name of a parameter has at most {MAX_NAME} characters, and {shown(whole)} has {len(whole):,}",
                key=True,
            )
            continue
        if whole in found.places:
            faults.error(
                place, f"{whole!r} is the same parameter as {dotted(found.places[whole])}; keep one of them", key=True
            )
        found.places.setdefault(whole, place)
        if len(found.places) > MAX_PARAMETERS:
            faults.error((GROUP,), f"a sweep has at most {MAX_PARAMETERS:,} parameters, and here are more", key=True)
            faults.raise_if_any()
        distribution = _read_parameter(name, item, place, method, faults)
        if distribution is not None:
            found.good.append(Parameter(whole, full, distribution))


def _check_inside(found: Parameters, faults: Faults) -> None:
    """Note each parameter that is also a value inside of a dict that another one can be."""
    dicts = {parameter.name: _dicts(parameter.distribution) for parameter in found.good}
    for whole, place in found.places.items():
        parts = whole.split(".")
        for depth in range(1, len(parts)):
            outer = ".".join(parts[:depth])
            if any(_holds(choice, parts[depth:]) for choice in dicts.get(outer, ())):
                below = ".".join(parts[depth:])
                faults.error(
                    place,
                    f"{whole!r} is also {below!r} in the value of {dotted(found.places[outer])}; keep one of them",
                    key=True,
                )


def _dicts(distribution: Distribution) -> list[Mapping[str, Any]]:
    """The dicts among the values of a parameter."""
    return [value for value in distribution.choices or () if isinstance(value, Mapping)]


def _holds(value: Any, names: list[str]) -> bool:
    """Whether a value stands at these names in a dict, or one that is no dict on the way there."""
    for name in names:
        if not isinstance(value, Mapping):
            return True
        if name not in value:
            return False
        value = value[name]
    return True


def _check_group_keys(item: Mapping[str, Any], path: KeyPath, faults: Faults) -> None:
    for key in given(item):
        if key != GROUP:
            faults.error(
                (*path, key), f"a nested group has the key parameters only; {key!r} does not go with it", key=True
            )


def _read_parameter(name: str, item: Any, path: KeyPath, method: object, faults: Faults) -> Distribution | None:
    if not isinstance(item, Mapping):
        remedy = f"values: {shown(item)}" if isinstance(item, list) else f"value: {shown(item)}"
        remedy = "value: ..., values: [...], or min: and max:" if item is None else remedy
        faults.error(path, f"the parameter {name!r} must be a mapping; write {remedy} below it", key=item is None)
        return None
    keys = given(item)
    if "value" in item and keys in ({}, {"distribution": "constant"}):
        return Constant(None)  # beside other keys null means not given
    unknown = [key for key, value in keys.items() if key not in known_keys() or _is_group(key, value)]
    for key in unknown:
        _note_unknown(key, keys[key], path, faults)
    known = {key: value for key, value in keys.items() if key not in unknown}
    if unknown and not known.keys() & {"distribution", "value", "values", "min", "max"}:
        return None  # what was meant by the unknown ones is missing; that is no second mistake
    kind = distribution_of(known, path, faults)
    if kind is None:
        return None
    form = DISTRIBUTIONS[kind]
    before = faults.count
    strange = [key for key in known if key not in form.keys and key != "distribution"]
    for key in strange:
        _note_strange(key, known[key], kind, "distribution" in known, path, faults)
    absent = set(form.keys) if strange or unknown else set()
    rest = {key: value for key, value in known.items() if key in form.keys}
    what = f"distribution {kind}" if "distribution" in known else f"a parameter with {' and '.join(rest)}"
    values = read_keys(form.keys, rest, path, faults, what, absent=absent)
    if values is None or unknown or faults.count > before:
        return None
    if "min" in form.keys and not _check_bounds(values["min"], values["max"], kind, path, faults):
        return None
    try:
        distribution = form.make(values)
    except ValueError as error:
        faults.error(path, str(error), key=True)
        return None
    if kind == "constant" and "distribution" not in known:
        _check_constant(name, known["value"], path, faults)
    if method == "grid":
        if not is_listable(distribution):
            note_not_listable(name, kind, path, faults)
        warn_of_grid(distribution, path, faults)
    return distribution


def _check_constant(name: str, value: Any, path: KeyPath, faults: Faults) -> None:
    """Warn of a list that was probably meant as values to choose from, unless the name is a plural."""
    plural = name.lower().endswith("s") and not name.lower().endswith("ss")
    flat = isinstance(value, list) and not any(isinstance(item, (list, dict)) for item in value)
    if flat and len(value) > 1 and not plural:
        faults.warn(
            (*path, "value"),
            f"every run gets the whole list {shown(value)}; did you mean values: {shown(value)}?"
            " If not, add distribution: constant, and this warning goes away",
            key=True,
        )


def _is_group(key: str, value: Any) -> bool:
    """Whether ``key`` is the name of a parameter, such as ``a``, where that of a distribution's key was expected."""
    return isinstance(value, Mapping) and key not in ("value", "distribution")


def _note_unknown(key: str, value: Any, path: KeyPath, faults: Faults) -> None:
    known = known_keys()
    if isinstance(value, Mapping) and (key in known or one_edit_away(key, known) is None):
        problem = "cannot hold a mapping" if key in known else "is not a key of a parameter"
        message = (
            f"{key!r} {problem}; for a nested group write parameters: around its parameters,"
            " and for a parameter of its own indent it less"
        )
    else:
        message = f"{key!r} is not a key of a parameter{hint(key, known) or '.'} Known keys: {', '.join(known)}"
    faults.error((*path, key), message, key=True)


def _note_strange(key: str, value: Any, kind: str, named: bool, path: KeyPath, faults: Faults) -> None:
    keys = list(DISTRIBUTIONS[kind].keys)
    other = f"distribution {kind}" if named else " and ".join(keys)
    remedy = f"; its keys are {', '.join(keys)}" if named else f"; without {key} this is the distribution {kind}"
    if key == "value" and "values" in keys:
        remedy = f"; write values: {shown(value if isinstance(value, list) else [value])}, or drop distribution"
        remedy = remedy if named else "; give value for a constant, or values to choose from"
    elif key == "values" and kind == "constant":
        remedy = "; write distribution: categorical"
    elif key == "probabilities":
        remedy = "; write distribution: categorical_w_probabilities"
    elif key == "q" and f"q_{kind}" in DISTRIBUTIONS:
        remedy = f"; write distribution: q_{kind}"
    faults.error((*path, key), f"{key} does not go with {other}{remedy}", key=True)


def _check_bounds(low: float, high: float, kind: str, path: KeyPath, faults: Faults) -> bool:
    values = EXPONENTS.get(kind)
    if values and (high > MAX_EXPONENT or low < -MAX_EXPONENT):
        key = "max" if high > MAX_EXPONENT else "min"
        faults.error(
            (*path, key),
            f"the bounds of {kind} are exponents (natural log), and exp({shown(high if key == 'max' else low)}) is no"
            f" number that a computer holds; for bounds that are values write distribution: {values}",
        )
        return False
    if low >= high:
        remedy = f"; for one value write value: {shown(low)}" if low == high else ""
        faults.error((*path, "min"), f"min must be below max, got min {shown(low)} and max {shown(high)}{remedy}")
        return False
    if values and 0 < low < 1 and high <= 1:
        faults.warn(
            (*path, "min"),
            f"the bounds of {kind} are exponents (natural log), so this searches between exp({shown(low)}) and"
            f" exp({shown(high)}); for bounds that are values write distribution: {values}",
        )
    return True


def is_listable(distribution: Distribution) -> bool:
    """Whether a grid can list the values, all of which are equally likely."""
    return distribution.traits.even and distribution.size is not None


def warn_of_grid(distribution: Distribution, path: KeyPath, faults: Faults) -> None:
    """Warn of values that a grid does not run as they are written in the parameter at ``path``."""
    for key, message in distribution.grid_notes():
        faults.warn((*path, key), message, key=key == "values")


def note_not_listable(name: str, kind: str, path: KeyPath, faults: Faults) -> None:
    """Note that a grid cannot list a parameter with the distribution ``kind``, and what to write instead."""
    remedy = (
        "drop probabilities"
        if kind == "categorical_w_probabilities"
        else ("write values: [...], or distribution: q_uniform with min, max and q, or use method random or bayes")
    )
    faults.error(
        path, f"method grid cannot list the values of {name!r}, which has the distribution {kind}; {remedy}", key=True
    )
