"""Blocks about points: the configurations that a sweep begins with, and parameters that exist only beside others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lightsweep.schema.command import MACRO
from lightsweep.schema.diagnostics import Faults, Spot
from lightsweep.schema.distributions import spelt
from lightsweep.schema.parameters import Parameters, value_in
from lightsweep.space import Distribution, Space, Value, identity
from lightsweep.text import counted, quoted

Entry = dict[str, Value]
Parents = dict[str, tuple[Value, ...]]


def read_first(
    value: Any, found: Parameters, space: Space | None, run_cap: Any, whole: str, faults: Faults
) -> tuple[Entry, ...]:
    """Return the configurations in order, flat, each with some or all of the parameters; mistakes go to ``faults``.

    Args:
        value: The list; ``None`` without one.
        found: The parameters.
        space: Their space; ``None`` if it has mistakes.
        run_cap: The greatest number of runs, as written.
        whole: The key that cannot be combined with it, and is there; empty without one.
        faults: Takes the mistakes.
    """
    at = faults.at("lightsweep", "first")
    if value is None:
        return ()
    if whole:
        at.key_error(f"`first` cannot be combined with `{whole}`; remove one of them")
    if not isinstance(value, list) or not value:
        got = f"[{quoted(value)}]" if isinstance(value, Mapping) else "[{lr: 0.001}]"
        at.error(f"first must be a list of configurations, such as first: {got}; got {quoted(value)}")
        return ()
    entries: list[Entry] = []
    seen: dict[Any, int] = {}
    for place, item in enumerate(value):
        here, before = at[place], faults.count
        if not isinstance(item, Mapping) or not item:
            must = (
                "needs a value of one parameter at least" if item == {} else "must be a mapping of parameters to values"
            )
            here.error(f"a configuration of first {must}, got {quoted(item)}")
            continue
        entry = dict(_flat(item, found, here))
        if faults.count == before and space is not None:
            _check_existing(entry, space, here)
        key = tuple(sorted((name, identity(each)) for name, each in entry.items()))
        if faults.count == before and space is not None and space.is_whole(entry):
            if key in seen:
                here.error(f"this is the configuration of first[{seen[key]}] again, and each is run once; remove it")
            seen[key] = place
        entries.append(entry)
    if isinstance(run_cap, int) and run_cap < len(entries):
        at.key_warning(f"run_cap {run_cap} ends the sweep before all {counted(len(entries), 'configuration')} of first")
    return tuple(entries)


def _flat(item: Mapping[str, Any], found: Parameters, at: Spot, above: str = "") -> Iterator[tuple[str, Value]]:
    """Yield the values by their dotted names; a group may be a mapping."""
    for key, value in item.items():
        name, here = f"{above}{key}", at[key]
        distribution = next((each.distribution for each in found.good if each.name == name), None)
        if not found.meant(name):
            here.key_error(found.unknown(name))
        elif name not in found.places:
            if isinstance(value, Mapping):
                yield from _flat(value, found, here, f"{name}.")
            else:
                here.error(f"{name!r} is a group of parameters; give a mapping of its parameters to values")
        elif distribution is not None:
            try:
                yield name, value_in(distribution, value)
            except (ValueError, TypeError) as error:
                here.error(f"the sweep never gives {name!r} this value: {error}")


def _check_existing(entry: Entry, space: Space, at: Spot) -> None:
    """Note values of parameters that do not exist beside the others."""
    for name in entry:
        parents = space.when.get(name, {})
        constants = {each.name: each.distribution.value_at(0) for each in space.parameters if each.is_fixed}
        known = {**constants, **entry}
        if lacking := [parent for parent in parents if parent not in known]:
            at[name].key_error(
                f"{name!r} exists only if {condition_text(parents)}; give {' and '.join(map(repr, lacking))} here too"
            )
        elif parents and name not in space.existing(known):
            at[name].key_error(f"{name!r} exists only if {condition_text(parents)}; remove it here, or change that")


def read_when(value: Any, found: Parameters, whole: str, faults: Faults) -> dict[str, Parents]:
    """Return the parents of each conditional parameter, with the values that let it exist; mistakes go to ``faults``.

    Args:
        value: The block; ``None`` without one.
        found: The parameters.
        whole: The key that cannot be combined with conditions, and is there; empty without one.
        faults: Takes the mistakes.
    """
    at, before = faults.at("lightsweep", "when"), faults.count
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
