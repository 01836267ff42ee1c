"""Macros to argv: the command line of a run from the ``command`` list of a sweep and the values of its parameters.

An argument is built in one pass and no shell ever sees it: whatever a value holds (spaces, quotes, newlines,
``$(...)``, text that looks like a macro), the program receives it as it is.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightsweep.errors import CommandError, closest
from lightsweep.schema.command import meant_by, not_alone

__all__ = ["DEFAULT_COMMAND", "MACROS", "build_command", "format_value"]

DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")

_SEVERAL: dict[str, Callable[[str, Any], list[str]]] = {
    "args": lambda name, value: [f"--{name}={_text(name, value)}"],
    "args_no_hyphens": lambda name, value: [f"{name}={_text(name, value)}"],
    "args_no_equals": lambda name, value: [f"--{name}", _text(name, value)],
    "args_no_boolean_flags": lambda name, value: _flag(name, value),
    "args_append_hydra": lambda name, value: [f"+{name}={_hydra_text(name, value)}"],
    "args_override_hydra": lambda name, value: [f"++{name}={_hydra_text(name, value)}"],
}

MACROS = ("env", "interpreter", "program", *_SEVERAL, "args_json", "args_json_file", "envvar:NAME")
"""The names that a ``command`` may use inside ``${...}``, besides those of the parameters."""

_HYDRA_WORD = re.compile(r"[A-Za-z0-9_/+.%*@?|-]*", re.ASCII)
"""What Hydra's grammar takes as one value without quotes."""

_MACRO = re.compile(r"\$\{([^{}]*)\}")


def build_command(
    program: str | None,
    command: Sequence[str] | None,
    values: Mapping[str, Any],
    nested: Mapping[str, Any],
    *,
    json_path: Path,
    environ: Mapping[str, str] = os.environ,
) -> list[str]:
    """The argument list that starts one run.

    An item that is one of ``${args}``, ``${args_no_hyphens}``, ... is replaced by the arguments of every parameter, in
    the order of ``values``. All other macros, and ``${name}`` of a parameter or of a group of parameters, are replaced
    inside an item as well. A ``${...}`` that is none of these is left to the program (``${hydra:runtime.cwd}``), unless
    it is so close to one that it must be a typing error.

    ``${args_append_hydra}`` and ``${args_override_hydra}`` write values in Hydra's own grammar: ``null``, quotes around
    strings that are no plain word, lists and dicts without JSON's escapes.

    Args:
        program: The ``program`` key; ``None`` where the sweep has none.
        command: The ``command`` key; ``None`` for the default: env, interpreter, program, args.
        values: Parameter values under their dotted names.
        nested: The same values as the nested config: what the JSON macros give.
        json_path: Where ``${args_json_file}`` writes; untouched when no item uses it.
        environ: Where ``${envvar:NAME}`` looks.

    Returns:
        One string per argument; the first is the executable. Never empty.

    Raises:
        CommandError: Neither ``program`` nor ``command``; ``${program}`` without ``program``; an unset environment
            variable; a misspelt macro; ``${args}`` or one of its kind as a part of an item; a value that no command
            line can carry (a NUL byte, a lone surrogate); a JSON file that cannot be written; nothing to execute.
    """
    if command is None and program is None:
        raise CommandError("the sweep does not say what to run: set `program` (a script) or `command` (a list)")
    fill = _Filler(program, values, nested, json_path, environ)
    argv = [argument for item in (DEFAULT_COMMAND if command is None else command) for argument in fill.item(item)]
    if not argv:
        raise CommandError("`command` comes to an empty command line: begin it with the program to execute")
    return argv


def format_value(value: Any) -> str:
    """``value`` as one argument.

    ``True``, ``False`` and ``None`` as Python prints them; strings as they are; floats so that ``float()`` gives the
    same number back; lists and dicts as JSON.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value)
    return repr(value)


def _text(name: str, value: Any) -> str:
    text = format_value(value)
    _check(text, f"the value of parameter {name!r}")
    return text


def _check(text: str, what: str) -> None:
    """Refuse what the operating system cannot pass as an argument."""
    if "\0" in text:
        raise CommandError(f"{what} holds a NUL byte, which no command line can carry: {text!r}; use ${{args_json}}")
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:
        raise CommandError(f"{what} cannot be written as {error.encoding}: {text!r}; use ${{args_json}}") from error


def _hydra_text(name: str, value: Any) -> str:
    """``value`` in the grammar of Hydra's overrides.

    A plain word stays as it is, and Hydra reads one like ``1e3`` as a number. The text ``null`` is quoted in any case,
    since Hydra reads the bare word as ``None``.
    """
    plain = isinstance(value, str) and _HYDRA_WORD.fullmatch(value) and value.lower() != "null"
    text = value if plain else _hydra(value)
    _check(text, f"the value of parameter {name!r}")
    return text


def _hydra(value: Any) -> str:
    """Strings in quotes: a backslash escapes a quote, and a backslash only where a quote follows."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return "'" + re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + found[2].replace("'", r"\'"), value) + "'"
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(_hydra, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{_hydra_key(key)}:{_hydra(below)}' for key, below in value.items())}}}"
    return repr(value)


def _hydra_key(key: Any) -> str:
    """The key of a dict, which cannot stand in quotes."""
    return re.sub(r"[\\()\[\]{}:=, \t]", lambda found: f"\\{found[0]}", key if isinstance(key, str) else repr(key))


def _flag(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}"] if value else []
    return [f"--{name}={_text(name, value)}"]


class _Filler:
    """Replaces the macros of one run; a replacement is never searched for macros again."""

    def __init__(
        self,
        program: str | None,
        values: Mapping[str, Any],
        nested: Mapping[str, Any],
        json_path: Path,
        environ: Mapping[str, str],
    ) -> None:
        self._program = program
        self._values = values
        self._nested = nested
        self._json_path = json_path
        self._environ = environ

    def item(self, item: str) -> list[str]:
        """The arguments that one item of ``command`` becomes: none, one or several."""
        whole = _MACRO.fullmatch(item)
        if whole and whole[1] in _SEVERAL:
            expand = _SEVERAL[whole[1]]
            for name in self._values:
                _check(name, f"the parameter name {name!r}")
            return [argument for name, value in self._values.items() for argument in expand(name, value)]
        if whole and whole[1] == "env" and os.name == "nt":
            return []
        return [_MACRO.sub(lambda match: self._replacement(match, item), item)]

    def _replacement(self, match: re.Match[str], item: str) -> str:
        name = match[1]
        simple = {
            "env": lambda: "/usr/bin/env",
            "interpreter": lambda: sys.executable,
            "program": self._the_program,
            "args_json": lambda: json.dumps(self._nested),
            "args_json_file": self._json_file,
        }
        if name in simple:
            return simple[name]()
        if name in _SEVERAL:
            raise CommandError(f"command item {item!r}: {not_alone(name)}")
        if name in self._values:
            return _text(name, self._values[name])
        if name in self._nested:
            return _text(name, self._nested[name])
        if name.startswith("envvar:"):
            return self._variable(name.removeprefix("envvar:"), item)
        if meant := meant_by(name, {*self._values, *self._nested}):
            raise CommandError(
                f"command item {item!r}: ${{{name}}} is neither a macro nor a parameter; did you mean {meant!r}?"
            )
        return match[0]

    def _the_program(self) -> str:
        if self._program is None:
            raise CommandError("`command` uses ${program}, but the sweep has no `program`: set it")
        return self._program

    def _json_file(self) -> str:
        try:
            self._json_path.parent.mkdir(parents=True, exist_ok=True)
            self._json_path.write_text(json.dumps(self._nested, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise CommandError(f"the file of ${{args_json_file}} cannot be written: {error}") from error
        return str(self._json_path)

    def _variable(self, name: str, item: str) -> str:
        if name not in self._environ:
            hint = closest(name, self._environ)
            raise CommandError(f"command item {item!r}: the environment variable {name!r} is not set{hint}")
        return self._environ[name]
