"""``repeats``: the same values under several seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from lightsweep.schema import fields
from lightsweep.schema.diagnostics import Faults

_Count = Annotated[int, fields.number(whole=True, least=1, most=1000)]


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """The same values are trained several times, each with another seed, and scored by the mean.

    Attributes:
        count: How many runs each choice of values has; each counts in run_cap. At most 1,000.
        seed: The name of the parameter that brings the seed to the script.
    """

    count: _Count
    seed: fields.Text = "seed"


SCHEMA: fields.Schema = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 1000}, fields.ref("repeats")]}


def read_repeats(value: Any, raw: Mapping[str, Any], names: Iterable[str], faults: Faults) -> Repeats | None:
    """Return the repeats of a config; ``None`` for none, for one, or if they are wrong, which is then noted.

    Args:
        value: The number of repeats, or the block, as written.
        raw: The whole config.
        names: The names of the parameters.
        faults: Takes the mistakes.
    """
    at = faults.at("lightsweep", "repeats")
    if value is None:
        return None
    whole = isinstance(value, Mapping)
    found = fields.check(Repeats, value, at, "repeats") if whole else None
    if not whole:
        try:
            found = Repeats(count=fields.keys_of(Repeats)["count"].rule.read(value))
        except ValueError as error:
            at.error(f"repeats {error}; or write a mapping such as {{count: 3, seed: seed}}")
    if found is None or found.count == 1:
        return None
    if raw.get("metric") is None:
        at.key_error("repeats need the key 'metric': the values are scored by the mean of one metric over the repeats")
    if raw.get("scheduler") is not None or raw.get("method") == "custom":
        at.key_error("repeats cannot be combined with `scheduler` or method custom; remove one of them")
    if isinstance(cap := raw.get("run_cap"), int) and cap < found.count:
        at.key_warning(f"run_cap {cap} ends the sweep before any values have all {found.count} repeats")
    for name in names:
        if name == found.seed or name.startswith(f"{found.seed}.") or found.seed.startswith(f"{name}."):
            faults.at("parameters", *name.split(".")[:1]).key_error(
                f"repeats give each run its own {found.seed!r}, so this parameter cannot have that name; remove it, or "
                f"write repeats: {{count: {found.count}, seed: ANOTHER_NAME}}"
            )
    return found
