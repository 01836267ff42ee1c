"""From the ``parameters`` of a sweep file to the parameters of a space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lightsweep.schema.diagnostics import KeyPath, Spot, dotted, hint, one_edit_away
from lightsweep.schema.distributions import DISTRIBUTIONS
from lightsweep.schema.fields import given, read_keys
from lightsweep.space import Constant, Distribution, Parameter
from lightsweep.text import quoted

GROUP = "parameters"
EXPONENTS = {name: f"{name}_values" for name in DISTRIBUTIONS if f"{name}_values" in DISTRIBUTIONS}
"""Distributions whose bounds are exponents, and those with the values as bounds."""

IMPLIED = {"probabilities": "categorical_w_probabilities", "values": "categorical", "value": "constant"}
"""Keys that imply a distribution, in this order."""

MAX_EXPONENT = 709  # exp of more overflows
MAX_NAME = 500  # an Optuna storage holds 512
MAX_PARAMETERS = 10_000


def known_keys() -> list[str]:
    """Return every key that a parameter can have."""
    return ["distribution", *dict.fromkeys(key for form in DISTRIBUTIONS.values() for key in form.keys), GROUP]


@dataclass
class Parameters:
    """The parameters of a config.

    Attributes:
        good: The parameters without a fault.
        places: Every dotted name, the faulty ones included, and its place in the file.
    """

    good: list[Parameter] = field(default_factory=list)
    places: dict[str, KeyPath] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """The names that ``command`` may use: every parameter, and each group at the top."""
        return {*self.places, *(str(path[1]) for path in self.places.values())}

    def meant(self, name: str) -> list[str]:
        """Return the parameters that a name means: itself, or all that are nested below it."""
        if name in self.places:
            return [name]
        return [known for known, place in self.places.items() if known.startswith(f"{name}.") and len(place) > 2]

    def unknown(self, name: str) -> str:
        """Return the message about a name that is neither a parameter's nor a group's."""
        parts = [known.split(".") for known, place in self.places.items() if len(place) > 2]
        groups = {".".join(part[:depth]) for part in parts for depth in range(1, len(part))}
        known = [*self.places, *sorted(groups)]
        return f"there is no parameter {name!r}{hint(name, known) or '; there are: ' + ', '.join(known)}"


def read_parameters(value: Any, method: object, at: Spot) -> Parameters:
    """Return the parameters below ``parameters``, nested groups included.

    Args:
        value: The block, as ``plain`` made it.
        method: The method by which all of them are searched: ``grid`` allows only what can be listed.
        at: Its place.
    """
    found = Parameters()
    _read_group(value, at, (), method, found)
    _check_inside(found, at)
    return found


def _read_group(value: Any, at: Spot, names: tuple[str, ...], method: object, found: Parameters) -> None:
    if not isinstance(value, Mapping):
        at.error(f"parameters must be a mapping of names to parameters, got {quoted(value)}")
        return
    if not value:
        at.key_error("parameters is empty; it needs at least one parameter")
    for name, item in value.items():
        here, full = at[name], (*names, name)
        whole = ".".join(full)
        if not name:
            here.key_error("the name of a parameter must not be empty")
        elif isinstance(item, Mapping) and item.get(GROUP) is not None:
            for key in [key for key in given(item) if key != GROUP]:
                here[key].key_error(f"a nested group has only the key parameters; remove {key!r}")
            _read_group(item[GROUP], here[GROUP], full, method, found)
        elif len(whole) > MAX_NAME:
            most = f"the name of a parameter has at most {MAX_NAME} characters"
            here.key_error(f"{most}, and {quoted(whole)} has {len(whole):,}")
        else:
            if whole in found.places:
                same = dotted(found.places[whole])
                here.key_error(f"{whole!r} is the same parameter as {same}; remove one of them")
            found.places.setdefault(whole, here.path)
            if len(found.places) > MAX_PARAMETERS:
                at.faults.at(GROUP).key_error(f"a sweep has at most {MAX_PARAMETERS:,} parameters; this one has more")
                at.faults.raise_if_any()
            distribution = _read_parameter(name, item, here, method)
            if distribution is not None:
                found.good.append(Parameter(whole, full, distribution))


def _check_inside(found: Parameters, at: Spot) -> None:
    """Note each parameter that is also a value inside of a dict that another one can be."""
    choices = {parameter.name: parameter.distribution.choices or () for parameter in found.good}
    for whole, place in found.places.items():
        parts = whole.split(".")
        for depth in range(1, len(parts)):
            outer, below = ".".join(parts[:depth]), ".".join(parts[depth:])
            inside = (choice for choice in choices.get(outer, ()) if isinstance(choice, Mapping))
            if any(_holds(choice, parts[depth:]) for choice in inside):
                of = dotted(found.places[outer])
                at.faults.at(*place).key_error(f"{whole!r} is also {below!r} in the value of {of}; remove one of them")


def _holds(value: Any, names: list[str]) -> bool:
    """Return whether a dict has a value at these names, or a value that is not a dict on the way to them."""
    for name in names:
        if not isinstance(value, Mapping):
            return True
        if name not in value:
            return False
        value = value[name]
    return True


def _read_parameter(name: str, item: Any, at: Spot, method: object) -> Distribution | None:
    if item is None:
        at.key_error(
            f"the parameter {name!r} must be a mapping; write value: ..., values: [...], or min: and max: below it"
        )
        return None
    if not isinstance(item, Mapping):
        remedy = f"{'values' if isinstance(item, list) else 'value'}: {quoted(item)}"
        at.error(f"the parameter {name!r} must be a mapping; write {remedy} below it")
        return None
    keys, known_names = given(item), known_keys()
    if "value" in item and keys in ({}, {"distribution": "constant"}):
        return Constant(None)  # beside other keys null counts as absent
    # A mapping below ``a`` is a parameter with this name, and no shape of beta.
    unknown = {
        key: value
        for key, value in keys.items()
        if key not in known_names or (isinstance(value, Mapping) and key not in ("value", "distribution"))
    }
    for key, value in unknown.items():
        _note_unknown(key, value, known_names, at[key])
    known = {key: value for key, value in keys.items() if key not in unknown}
    if unknown and not known.keys() & {"distribution", "value", "values", "min", "max"}:
        return None  # the unknown keys are probably the missing ones: one mistake
    kind = _kind(known, at)
    return None if kind is None else _read_keys(name, kind, known, at, method, whole=not unknown)


def _read_keys(
    name: str, kind: str, known: Mapping[str, Any], at: Spot, method: object, *, whole: bool
) -> Distribution | None:
    """The distribution that keys make; ``whole``: no other keys were given."""
    form, before, named = DISTRIBUTIONS[kind], at.faults.count, "distribution" in known
    rest = {key: value for key, value in known.items() if key in form.keys}
    strange = [key for key in known if key not in form.keys and key != "distribution"]
    for key in strange:
        _note_strange(key, known[key], kind, named, at[key])
    what = f"distribution {kind}" if named else f"a parameter with {' and '.join(rest)}"
    values = read_keys(form.keys, rest, at, what, absent=form.keys if strange or not whole else ())
    if values is None or not whole or at.faults.count > before:
        return None
    if "min" in values and not _check_bounds(values["min"], values["max"], kind, at):
        return None
    try:
        distribution = form.make(values)
    except ValueError as error:
        at.key_error(str(error))
        return None
    if kind == "constant" and not named:
        _check_constant(name, values["value"], at["value"])
    if method == "grid":
        check_grid(name, distribution, at, at)
    return distribution


def _kind(keys: Mapping[str, Any], at: Spot) -> str | None:
    """The name of the distribution that ``keys`` name or imply; ``None`` with a fault if they do neither.

    ``parameters`` (a nested group) is ignored. Integers as both bounds imply ``int_uniform``, any other bounds
    ``uniform``.
    """
    name = keys.get("distribution")
    if name is not None:
        if isinstance(name, str) and name in DISTRIBUTIONS:
            return name
        guess = hint(name, DISTRIBUTIONS)
        if any(isinstance(keys.get(key), (int, float)) and keys[key] > 0 for key in ("min", "max")):
            for exponents, values in EXPONENTS.items():  # bounds above 0 are meant as values
                guess = guess.replace(f"{exponents!r}", f"{values!r}")
        known = ", ".join(DISTRIBUTIONS)
        at["distribution"].error(f"unknown distribution {quoted(name)}{guess or '.'} Known: {known}")
        return None
    for key, implied in IMPLIED.items():
        if key in keys:
            return implied
    if "min" in keys or "max" in keys:
        if "q" in keys:
            at["q"].key_error("q needs a distribution: write distribution: q_uniform")
            return None
        whole = all(isinstance(keys.get(key, 0), int) for key in ("min", "max"))
        return "int_uniform" if whole else "uniform"
    for some, names in ((("mu", "sigma"), "normal or distribution: log_normal"), (("a", "b"), "beta")):
        if found := [key for key in some if key in keys]:
            at.key_error(f"{' and '.join(found)} without a distribution; write distribution: {names}")
            return None
    at.key_error("a parameter needs value, values, or min and max")
    return None


def _check_constant(name: str, value: Any, at: Spot) -> None:
    """Warn of a list that was probably meant as values to choose from, unless the name is a plural."""
    plural = name.lower().endswith("s") and not name.lower().endswith("ss")
    flat = isinstance(value, list) and not any(isinstance(item, (list, dict)) for item in value)
    if flat and len(value) > 1 and not plural:
        at.key_warning(
            f"every run gets the whole list {quoted(value)}; did you mean values: {quoted(value)}?"
            " If not, add distribution: constant to silence this warning"
        )


def _note_unknown(key: str, value: Any, known: list[str], at: Spot) -> None:
    if isinstance(value, Mapping) and (key in known or one_edit_away(key, known) is None):
        problem = "cannot hold a mapping" if key in known else "is not a key of a parameter"
        remedy = (
            "for a nested group write parameters: around its parameters, and for a parameter of its own indent it less"
        )
        at.key_error(f"{key!r} {problem}; {remedy}")
    else:
        at.key_error(f"{key!r} is not a key of a parameter{hint(key, known) or '.'} Known keys: {', '.join(known)}")


def _note_strange(key: str, value: Any, kind: str, named: bool, at: Spot) -> None:
    keys = list(DISTRIBUTIONS[kind].keys)
    other = f"distribution {kind}" if named else " and ".join(keys)
    remedy = f"its keys are {', '.join(keys)}" if named else f"without {key} this is the distribution {kind}"
    if key == "value" and "values" in keys:
        values = quoted(value if isinstance(value, list) else [value])
        remedy = f"write values: {values}, or drop distribution"
        remedy = remedy if named else "give value for a constant, or values to choose from"
    elif key == "values" and kind == "constant":
        remedy = "write distribution: categorical"
    elif key == "probabilities":
        remedy = "write distribution: categorical_w_probabilities"
    elif key == "q" and f"q_{kind}" in DISTRIBUTIONS:
        remedy = f"write distribution: q_{kind}"
    at.key_error(f"{key} does not go with {other}; {remedy}")


def _check_bounds(low: float, high: float, kind: str, at: Spot) -> bool:
    values = EXPONENTS.get(kind)
    remedy = f"for bounds that are values write distribution: {values}"
    too_large = [key for key, bound in (("max", high), ("min", -low)) if bound > MAX_EXPONENT]
    if values and too_large:
        bound = quoted(high if too_large[0] == "max" else low)
        exponents = f"the bounds of {kind} are exponents (natural log), and exp({bound}) is beyond the range of numbers"
        at[too_large[0]].error(f"{exponents}; {remedy}")
        return False
    if low >= high:
        remedy = f"; for one value write value: {quoted(low)}" if low == high else ""
        at["min"].error(f"min must be below max, got min {quoted(low)} and max {quoted(high)}{remedy}")
        return False
    if values and 0 < low < 1 and high <= 1:
        searched = f"this searches between exp({quoted(low)}) and exp({quoted(high)})"
        at["min"].warn(f"the bounds of {kind} are exponents (natural log), so {searched}; {remedy}")
    return True


def check_grid(name: str, distribution: Distribution, at: Spot, cause: Spot) -> None:
    """Note, at ``cause``, that a grid cannot list the values of a parameter; warn of what it does not do as written."""
    kind = distribution.name
    if not distribution.traits.even or distribution.size is None:
        remedy = "write values: [...], or distribution: q_uniform with min, max and q, or use method random or bayes"
        remedy = "drop probabilities" if kind == "categorical_w_probabilities" else remedy
        cause.key_error(f"method grid cannot list the values of {name!r}, which has the distribution {kind}; {remedy}")
    for key, message in distribution.grid_notes():
        (at[key].key_warning if key == "values" else at[key].warn)(message)


def value_in(distribution: Distribution, value: Any) -> Any:
    """Return ``value`` as the distribution gives it.

    Raises:
        ValueError: It is none of the distribution's, or beyond the range that comes up.
    """
    distribution.inverse(value)
    if distribution.size is not None:
        return distribution.value_at(distribution.index_of(value))
    low, high = distribution.quantile(0.0), distribution.quantile(1.0)
    if not low <= value <= high:
        raise ValueError(f"{distribution.name} gives values from {low:g} to {high:g}, not {quoted(value)}")
    return type(low)(value)
