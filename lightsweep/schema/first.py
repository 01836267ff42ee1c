"""Read ``lightsweep.first``: the configurations that a sweep begins with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lightsweep.schema.diagnostics import Faults, Spot
from lightsweep.schema.parameters import Parameters, value_in
from lightsweep.schema.when import condition_text
from lightsweep.space import Space, Value, identity
from lightsweep.text import counted, quoted

PATH = ("lightsweep", "first")
Entry = dict[str, Value]


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
    at = faults.at(*PATH)
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
