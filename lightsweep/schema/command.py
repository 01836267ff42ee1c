"""The ``command`` of a sweep file: read its arguments and macros, and build the command line of a run from them.

Each argument is built in one pass, and no shell reads it: spaces, quotes, newlines, ``$(...)`` and texts that look like
a macro reach the program unchanged.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from lightsweep.errors import CommandError, closest
from lightsweep.schema.diagnostics import Spot, one_edit_away
from lightsweep.text import quoted

DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")

SEVERAL: dict[str, Callable[[str, Any], list[str]]] = {
    "args": lambda name, value: [f"--{name}={_text(name, value)}"],
    "args_no_hyphens": lambda name, value: [f"{name}={_text(name, value)}"],
    "args_no_equals": lambda name, value: [f"--{name}", _text(name, value)],
    "args_no_boolean_flags": lambda name, value: (
        [f"--{name}"] * value if isinstance(value, bool) else [f"--{name}={_text(name, value)}"]
    ),
    "args_append_hydra": lambda name, value: [f"+{name}={_text(name, value, _hydra)}"],
    "args_override_hydra": lambda name, value: [f"++{name}={_text(name, value, _hydra)}"],
}
"""Macros that become the arguments of all parameters, so that each must be a separate item."""

OF_HYDRA = ("args_append_hydra", "args_override_hydra")
"""Those that write Hydra's grammar, in which each parameter is an override of its own."""

PLACES = {"run_dir": "lightsweep_runs/SWEEP/0001", "run_id": "SWEEP-0001", "sweep_id": "SWEEP"}
"""Macros for what differs from run to run, each with an example; a parameter of the same name goes first."""

MACROS = ("env", "interpreter", "program", *SEVERAL, "args_json", "args_json_file", *PLACES)

_HYDRA_WORD = re.compile(r"[A-Za-z0-9_/+.%*@?|-]*", re.ASCII)
"""Texts that Hydra's grammar takes as one value without quotes."""

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
    """Return the macro or parameter that the unknown ``${name}`` misspells; ``None``: it belongs to the program.

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
    """Return the message for a macro of several arguments inside of an item."""
    return f"${{{name}}} becomes several arguments, so it must be a separate item"


def read_command(value: Any, parameters: Collection[str], program: bool, at: Spot) -> tuple[str, ...] | None:
    """Return the arguments of ``command`` as text; ``None`` if it is not given or wrong.

    Numbers and booleans become text as Python writes them. ``${name}`` may be a macro, a parameter or
    ``envvar:NAME``; one that resembles a macro or a parameter is a fault, any other one is left to the program.

    Args:
        value: The block, as ``plain`` made it.
        parameters: Names of parameters and of groups of them.
        program: Whether there is a ``program``.
        at: Its place.
    """
    if value is None:
        return None
    if isinstance(value, str):
        at.error(f"command must be a list of arguments, since no shell reads it; write command: [{_split(value)}]")
        return None
    if not isinstance(value, list) or not value:
        at.error(f"command must be a list of arguments, got {quoted(value)}")
        return None
    before = at.faults.count
    items = [_read_item(item, parameters, program, at[index]) for index, item in enumerate(value)]
    for index, item in enumerate(items):
        if index and SHELL_OPTION.fullmatch(items[index - 1]):
            break  # bash -c "...": a shell reads what follows
        _warn_of_shell(item, parameters, at[index], first=index == 0)
    return tuple(items) if at.faults.count == before else None


def _split(text: str) -> str:
    return ", ".join(f'"{part}"' for part in text.split())


def _read_item(item: Any, parameters: Collection[str], program: bool, at: Spot) -> str:
    if not isinstance(item, (str, int, float)):
        remedy = ""
        if isinstance(item, dict) and len(item) == 1:
            key, value = next(iter(item.items()))
            remedy = f"; for one argument with a colon put quotes around it: {f'{key}: {value}'!r}"
        at.error(f"an argument of command must be a text or a number, got {quoted(item)}{remedy}")
        return ""
    text = str(item)
    if "\0" in text:
        at.error(f"an argument of command cannot contain a NUL character, got {quoted(text)}")
    for name in MACRO.findall(text):
        if name in SEVERAL and text != f"${{{name}}}":
            at.error(f"{not_alone(name)}, got {quoted(text)}")
        elif name == "program" and not program:
            at.error("${program} needs the key 'program': add it")
        elif name in MACROS or name in parameters or name.startswith("envvar:"):
            continue
        elif meant := meant_by(name, parameters):
            at.error(f"${{{name}}} is neither a macro nor a parameter; did you mean '${{{meant}}}'?")
    return text


def _warn_of_shell(text: str, parameters: Collection[str], at: Spot, *, first: bool) -> None:
    """Warn of text that only a shell would replace or split."""
    unchanged = "is passed unchanged, since no shell reads command"
    if HOME.search(text):
        right = HOME.sub(lambda found: found[0].replace("~", "${envvar:HOME}"), text)
        at.warn(f"~ {unchanged}; write {quoted(right)}")
    for plain, braced in VARIABLE.findall(text):
        if plain or braced not in parameters:
            written = f"${plain}" if plain else f"${{{braced}}}"
            at.warn(f"{written} {unchanged}; for the environment variable write ${{envvar:{plain or braced}}}")
    if SUBSTITUTION.search(text):
        at.warn(f"{quoted(text)} {unchanged}; use bash -c for it")
    if TWO.search(text) or (first and SEVERAL_WORDS.match(text)):
        at.warn(f"{quoted(text)} is one argument, blanks included; for several write {_split(text)}")


def build_command(
    program: str | None,
    command: Sequence[str] | None,
    values: Mapping[str, Any],
    nested: Mapping[str, Any],
    *,
    json_path: Path,
    places: Mapping[str, str] = PLACES,
    environ: Mapping[str, str] = os.environ,
    passed: Mapping[str, Any] | None = None,
) -> list[str]:
    """Return the argument list that starts one run.

    An item that is one of ``${args}``, ``${args_no_hyphens}``, ... is replaced by the arguments of every parameter, in
    the order of ``values``. All other macros, and ``${name}`` of a parameter or of a group of parameters, are replaced
    inside an item as well. A ``${...}`` that is none of these is left to the program (``${hydra:runtime.cwd}``), unless
    it is so close to one that it must be a typing error.

    ``${args_append_hydra}`` and ``${args_override_hydra}`` write values in Hydra's own grammar: ``null``, quotes around
    strings other than plain words, lists and dicts without JSON's escapes.

    Args:
        program: The ``program`` key; ``None`` without one.
        command: The ``command`` key; ``None`` for the default: env, interpreter, program, args.
        values: Parameter values under their dotted names.
        nested: The same values as the nested config: what the JSON macros give.
        json_path: Where ``${args_json_file}`` writes; untouched when no item uses it.
        places: The values of ``${run_dir}``, ``${run_id}`` and ``${sweep_id}``; examples by default.
        environ: Where ``${envvar:NAME}`` looks.
        passed: What ``${args}`` and its kind pass, Hydra's macros excepted; by default ``values``. See
            :func:`lightsweep.schema.nesting.arguments`.

    Returns:
        One string per argument; the first is the executable. Never empty.

    Raises:
        CommandError: Neither ``program`` nor ``command``; ``${program}`` without ``program``; an unset environment
            variable; a misspelt macro; ``${args}`` or one of its kind as a part of an item; a value that no command
            line can carry (a NUL byte, a lone surrogate); a JSON file that cannot be written; nothing to execute.
    """
    if command is None and program is None:
        raise CommandError("the sweep does not say what to run: set `program` (a script) or `command` (a list)")
    simple = {"env": "/usr/bin/env", "interpreter": sys.executable, "program": program}

    def replacement(found: re.Match[str]) -> str:
        """The text for a macro, which is never searched for macros again."""
        name, place = found[1], f"command item {found.string!r}: "
        if name == "program" and program is None:
            raise CommandError("`command` uses ${program}, but the sweep has no `program`: set it")
        if name in simple:
            return simple[name] or ""
        if name == "args_json":
            return json.dumps(nested)
        if name == "args_json_file":
            return _write_json(json_path, nested)
        if name in SEVERAL:
            raise CommandError(f"{place}{not_alone(name)}")
        for known in (values, nested):
            if name in known:
                return _text(name, known[name])
        if name in places:
            return places[name]
        variable = name.removeprefix("envvar:")
        if variable != name and variable not in environ:
            hint = closest(variable, environ)
            raise CommandError(f"{place}the environment variable {variable!r} is not set{hint}")
        if variable != name:
            return environ[variable]
        if meant := meant_by(name, {*values, *nested}):
            raise CommandError(f"{place}${{{name}}} is neither a macro nor a parameter; did you mean {meant!r}?")
        return found[0]

    argv: list[str] = []
    for item in DEFAULT_COMMAND if command is None else command:
        whole = MACRO.fullmatch(item)
        if whole is None or whole[1] not in SEVERAL:
            argv.append(MACRO.sub(replacement, item))
            continue
        for name, value in (values if passed is None or whole[1] in OF_HYDRA else passed).items():
            _check(name, f"the parameter name {name!r}")
            argv += SEVERAL[whole[1]](name, value)
    if not argv:
        raise CommandError("`command` gives an empty command line: begin it with the program to execute")
    return argv


def format_value(value: Any) -> str:
    """Return ``value`` as one argument.

    ``True``, ``False`` and ``None`` as Python prints them; strings as they are; floats so that ``float()`` gives the
    same number back; lists and dicts as JSON.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value)
    return repr(value)


def _text(name: str, value: Any, spell: Callable[[Any], str] = format_value) -> str:
    text = spell(value)
    _check(text, f"the value of parameter {name!r}")
    return text


def _check(text: str, what: str) -> None:
    """Refuse a text that the operating system cannot pass as an argument."""
    if "\0" in text:
        cannot = f"{what} contains a NUL byte, which a command line cannot carry"
        raise CommandError(f"{cannot}: {text!r}; use ${{args_json}}")
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:
        raise CommandError(f"{what} cannot be written as {error.encoding}: {text!r}; use ${{args_json}}") from error


def _hydra(value: Any) -> str:
    """``value`` in the grammar of Hydra's overrides.

    A plain word is not quoted, and Hydra reads one like ``1e3`` as a number. The text ``null`` is quoted in any case,
    since Hydra reads the bare word as ``None``.
    """
    plain = isinstance(value, str) and _HYDRA_WORD.fullmatch(value) and value.lower() != "null"
    return value if plain else _hydra_quoted(value)


def _hydra_quoted(value: Any) -> str:
    """Strings in quotes: a backslash escapes a quote, and a backslash only before a quote."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return "'" + re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + found[2].replace("'", r"\'"), value) + "'"
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(_hydra_quoted, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{_hydra_key(key)}:{_hydra_quoted(below)}' for key, below in value.items())}}}"
    return repr(value)


def _hydra_key(key: Any) -> str:
    """The key of a dict, which Hydra does not allow in quotes."""
    return re.sub(r"[\\()\[\]{}:=, \t]", lambda found: f"\\{found[0]}", key if isinstance(key, str) else repr(key))


def _write_json(path: Path, nested: Mapping[str, Any]) -> str:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(nested, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"the file of ${{args_json_file}} cannot be written: {error}") from error
    return str(path)
