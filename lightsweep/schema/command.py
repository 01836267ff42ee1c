"""The ``command`` of a sweep file: a list of arguments, some of them macros."""

from __future__ import annotations

import re
from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

from lightsweep.schema.diagnostics import Faults, one_edit_away, shown

__all__ = ["MACROS", "SEVERAL", "meant_by", "not_alone", "read_command"]

SEVERAL = (
    "args", "args_no_hyphens", "args_no_equals", "args_no_boolean_flags", "args_append_hydra", "args_override_hydra",
)  # fmt: skip
"""Macros that stand for the arguments of all parameters, and so for an item of their own."""

MACROS = ("env", "interpreter", "program", *SEVERAL, "args_json", "args_json_file")
MACRO = re.compile(r"\$\{([^{}]*)\}")

SHELL_OPTION = re.compile(r"-[a-z]*c")
HOME = re.compile(r"(?:^|=|:)~(?=/|$)")
VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Z_][A-Z0-9_]*)\})")
SUBSTITUTION = re.compile(r"\$\(|`")
SEVERAL_WORDS = re.compile(r"[\w.-]+\s+\S")
TWO = re.compile(
    r"\s--[A-Za-z]|^--?[A-Za-z][\w.-]*\s+\S|^\$\{(?:env|interpreter|program)\}\s|^[\w./-]+\s+[\w./-]+\.(?:py|sh)\b"
)


def meant_by(name: str, parameters: Collection[str]) -> str | None:
    """The macro or parameter that the unknown ``${name}`` must be a misspelling of; ``None``: it is the program's.

    A name with a colon is another tool's (``${hydra:runtime.cwd}``), unless it is nearly ``envvar:``. Any short name
    is one edit from a parameter's of one or two characters, so only another case is a misspelling of that.
    """
    prefix, colon, rest = name.partition(":")
    if colon:
        return f"envvar:{rest}" if get_close_matches(prefix.lower(), ["envvar"], cutoff=0.8) else None
    known = [*MACROS, *(each for each in parameters if len(each) > 2 or each.lower() == name.lower())]
    close = get_close_matches(name, known, n=1, cutoff=0.85)
    return one_edit_away(name, known) or (close[0] if close else None)


def not_alone(name: str) -> str:
    """What is wrong with a macro of several arguments inside of an item."""
    return f"${{{name}}} stands for several arguments, so it must be an item of its own"


def read_command(value: Any, parameters: Collection[str], program: bool, faults: Faults) -> tuple[str, ...] | None:
    """The arguments of ``command`` as text; ``None`` where it is not given or wrong.

    Numbers and booleans become text as Python writes them. ``${name}`` may be a macro, a parameter or
    ``envvar:NAME``; one that resembles a macro or a parameter is a fault, any other one is left to the program.

    Args:
        value: What stands there, as ``plain`` made it.
        parameters: Names of parameters and of groups of them.
        program: Whether there is a ``program``.
        faults: Takes the mistakes.
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
    items = [_read_item(item, index, parameters, program, faults) for index, item in enumerate(value)]
    for index, item in enumerate(items):
        if index and SHELL_OPTION.fullmatch(items[index - 1]):
            break  # bash -c "...": a shell reads what follows
        _warn_of_shell(item, index, parameters, faults)
    return tuple(items) if faults.count == before else None


def _read_item(item: Any, index: int, parameters: Collection[str], program: bool, faults: Faults) -> str:
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
        if name in SEVERAL and text != f"${{{name}}}":
            faults.error(path, f"{not_alone(name)}, got {shown(text)}")
        elif name == "program" and not program:
            faults.error(path, "${program} stands for the key 'program', which the config does not have: add it")
        elif name not in MACROS and name not in parameters and not name.startswith("envvar:"):
            meant = meant_by(name, parameters)
            if meant:
                faults.error(path, f"${{{name}}} is neither a macro nor a parameter; did you mean '${{{meant}}}'?")
    return text


def _warn_of_shell(text: str, index: int, parameters: Collection[str], faults: Faults) -> None:
    """Warn of what only a shell would replace or split."""
    path = ("command", index)
    if HOME.search(text):
        right = HOME.sub(lambda found: found[0].replace("~", "${envvar:HOME}"), text)
        faults.warn(path, f"~ stays as it is, since no shell reads command; write {shown(right)}")
    for plain, braced in VARIABLE.findall(text):
        if plain or braced not in parameters:
            written = f"${plain}" if plain else f"${{{braced}}}"
            faults.warn(
                path,
                f"{written} stays as it is, since no shell reads command;"
                f" for the environment variable write ${{envvar:{plain or braced}}}",
            )
    if SUBSTITUTION.search(text):
        faults.warn(path, f"{shown(text)} stays as it is, since no shell reads command; use bash -c for it")
    if TWO.search(text) or (index == 0 and SEVERAL_WORDS.match(text)):
        form = ", ".join(f'"{part}"' for part in text.split())
        faults.warn(path, f"{shown(text)} is one argument, blanks included; for several write {form}")
