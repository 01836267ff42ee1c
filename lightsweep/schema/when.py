"""Read ``lightsweep.when``: parameters that exist only in runs in which others have certain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightsweep.schema.command import MACRO
from lightsweep.schema.diagnostics import Faults, Spot
from lightsweep.schema.distributions import spelt
from lightsweep.schema.parameters import Parameters
from lightsweep.space import Distribution, Value, identity
from lightsweep.text import quoted

PATH = ("lightsweep", "when")
Parents = dict[str, tuple[Value, ...]]


def read_when(value: Any, found: Parameters, whole: str, faults: Faults) -> dict[str, Parents]:
    """Return the parents of each conditional parameter, with the values that let it exist; mistakes go to ``faults``.

    Args:
        value: The block; ``None`` without one.
        found: The parameters.
        whole: The key that cannot be combined with conditions, and is there; empty without one.
        faults: Takes the mistakes.
    """
    at, before = faults.at(*PATH), faults.count
    if value is None:
        return {}
    if whole:
        at.key_error(f"`when` cannot be combined with `{whole}`; remove one of them")
    if not isinstance(value, Mapping) or not value:
        at.error(
            f"when must be a mapping of parameters to conditions, {{momentum: {{optimizer: sgd}}}}; got {quoted(value)}"
        )
        return {}
    when: dict[str, Parents] = {}
    for name, conditions in value.items():
        children = found.meant(name)
        if not children:
            at[name].key_error(found.unknown(name))
        elif not isinstance(conditions, Mapping) or not conditions:
            example = f"write {name}: {{PARENT: VALUE}}"
            at[name].error(f"the conditions of {name!r} must be a mapping of its parents to their values; {example}")
        else:
            parents = {parent: _values(parent, each, found, at[name][parent]) for parent, each in conditions.items()}
            for child in children:
                if child in when:
                    at[name].key_error(f"{child!r} has two conditions; write them as one, since all parents must hold")
                when[child] = parents
    if faults.count == before:
        _check_cycles(when, at)
    return when if faults.count == before else {}


def _values(parent: str, written: Any, found: Parameters, at: Spot) -> tuple[Value, ...]:
    """The values of a parent that let its child exist, as the parent has them."""
    distribution = next((each.distribution for each in found.good if each.name == parent), None)
    if parent not in found.places:
        at.key_error(found.unknown(parent))
    if distribution is None:
        return ()
    choices = distribution.choices
    if choices is None:
        kind = f"{parent!r} is a range of numbers, and only a parameter with a list of values can be a condition"
        at.key_error(f"{kind}; write values: [...] for it under parameters")
        return ()
    several = isinstance(written, list) and not _has(distribution, written)
    values = written if several else [written]
    if not values:
        at.error(f"give a value of {parent!r}, or a list of some")
    for place, value in enumerate(values):
        if not _has(distribution, value):
            known = ", ".join(map(spelt, choices))
            compared = isinstance(value, str) and value.strip()[:1] in ("<", ">", "=", "!")
            remedy = "list the values instead of comparing" if compared else "choose one of these"
            (at[place] if several else at).error(f"{parent!r} is never {quoted(value)}; it has {known}; {remedy}")
    chosen = tuple(distribution.value_at(distribution.index_of(each)) for each in values if _has(distribution, each))
    if len(set(map(identity, chosen))) == distribution.size:
        at.key_warning(f"{parent!r} always has one of these values, so the condition changes nothing")
    return chosen


def _has(distribution: Distribution, value: Value) -> bool:
    try:
        distribution.index_of(value)
    except (ValueError, TypeError):
        return False
    return True


def _check_cycles(when: Mapping[str, Parents], at: Spot) -> None:
    def ring(path: list[str]) -> list[str]:
        """The parents from the last of ``path`` on until one comes again."""
        for parent in when.get(path[-1], {}):
            if parent in path:
                return [*path[path.index(parent) :], parent]
            if found := ring([*path, parent]):
                return found
        return []

    for name in when:
        if found := ring([name]):
            at.key_error(
                f"these parameters depend on each other: {' on '.join(map(repr, found))}; remove one condition"
            )
            return


def check_command(command: Sequence[str], when: Mapping[str, Parents], at: Spot) -> None:
    """Note each macro of the command that is a conditional parameter: not every run has a value for it."""
    for place, item in enumerate(command):
        for name in MACRO.findall(item):
            if name in when:
                remedy = "pass it by ${args} or ${args_json}"
                at[place].error(f"${{{name}}} has no value in runs without {name!r}, see `when`; {remedy}")


def condition_text(parents: Mapping[str, Sequence[Value]]) -> str:
    """Return ``optimizer is adam or adamw, and amsgrad is true``."""
    return ", and ".join(f"{name} is {' or '.join(map(spelt, values))}" for name, values in parents.items())
