"""The ``command`` of a sweep file: a list of arguments, some of them macros."""

from __future__ import annotations

import re
from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

from lightsweep.schema.faults import Faults
from lightsweep.schema.plain import shown
from lightsweep.schema.words import one_edit_away

__all__ = ["MACROS", "read_command"]

MACROS = (
    "env", "interpreter", "program", "args", "args_no_hyphens", "args_no_equals", "args_no_boolean_flags",
    "args_append_hydra", "args_override_hydra", "args_json", "args_json_file",
)  # fmt: skip
MACRO = re.compile(r"\$\{([^{}]*)\}")


def read_command(value: Any, parameters: Collection[str], faults: Faults) -> tuple[str, ...] | None:
    """The arguments of ``command`` as text; ``None`` where it is not given or wrong.

    Numbers and booleans become text as Python writes them. ``${name}`` may be a macro, a parameter or
    ``envvar:NAME``; one that resembles a macro is a fault, any other one is left to the program.
    """
    if value is None:
        return None
    path = ("command",)
    if isinstance(value, str):
        form = ", ".join(f'"{part}"' for part in value.split())
        faults.error(path, f"command must be a list of arguments, since no shell reads it; write command: [{form}]")
        return None
    if not isinstance(value, list) or not value:
        faults.error(path, f"command must be a list of arguments, got {shown(value)}")
        return None
    before = faults.count
    items = [_read_item(item, index, parameters, faults) for index, item in enumerate(value)]
    return tuple(items) if faults.count == before else None


def _read_item(item: Any, index: int, parameters: Collection[str], faults: Faults) -> str:
    path = ("command", index)
    if not isinstance(item, (str, int, float)):
        remedy = ""
        if isinstance(item, dict) and len(item) == 1:
            key, value = next(iter(item.items()))
            remedy = f"; for one argument with a colon put quotes around it: {f'{key}: {value}'!r}"
        faults.error(path, f"an argument of command must be a text or a number, got {shown(item)}{remedy}")
        return ""
    text = str(item)
    if "\0" in text:
        faults.error(path, f"an argument of command cannot hold a NUL character, got {shown(text)}")
    for name in MACRO.findall(text):
        if name in MACROS or name in parameters or name.startswith("envvar:"):
            continue
        close = get_close_matches(name, MACROS, n=1, cutoff=0.85)
        meant = one_edit_away(name, MACROS) or (close[0] if close else None)
        if meant:
            faults.error(path, f"${{{name}}} is neither a macro nor a parameter; did you mean '${{{meant}}}'?")
    return text
