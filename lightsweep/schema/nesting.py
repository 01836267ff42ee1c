"""The form of nested groups on the command line: ``--model.hidden=64``, or ``--model={"hidden": 64}``."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightsweep.schema.command import DEFAULT_COMMAND, OF_HYDRA, SEVERAL
from lightsweep.schema.config import SweepConfig
from lightsweep.schema.source import Module, program_file, read_modules
from lightsweep.space.space import Path

_JSONARGPARSE = ("jsonargparse", "lightning.pytorch.cli", "pytorch_lightning.cli", "lightning.cli")
"""Parsers whose ``add_argument("--model")`` takes dotted names below it as well."""


@dataclass(frozen=True)
class Group:
    """A nested group of parameters, with the form in which it is passed.

    Attributes:
        name: Its dotted name.
        as_json: Whether it is one argument; else each of its parameters is one.
        reason: Why.
    """

    name: str
    as_json: bool
    reason: str


@dataclass(frozen=True)
class Option:
    """An option that a script's parser declares: its name without hyphens, and its place."""

    name: str
    file: str
    line: int


def passed_groups(config: SweepConfig, program: str | None, command: Sequence[str] | None) -> list[Group]:
    """Return the nested groups that the command passes by ``${args}`` or a macro of its kind, each with its form.

    ``lightsweep: {nested: ...}`` decides. Without it the script's source does: a group is passed as JSON if the parser
    declares an option of its name and none below it. Hydra's macros always pass dotted names, and a function has no
    command line.

    Args:
        config: The sweep's config.
        program: The path of its program, as it is found on this machine.
        command: The command that is started; ``None`` for the default.
    """
    items = DEFAULT_COMMAND if command is None else command
    macros = [f"${{{name}}}" for name in SEVERAL if name not in OF_HYDRA]
    if (program is None and command is None) or not any(item in macros for item in items):
        return []
    groups = _outermost(config)
    if not groups:
        return []
    if config.options.nested is not None:
        form = config.options.nested
        return [Group(".".join(path), form == "json", f"lightsweep.nested is {form}") for path in groups]
    start = program_file(program, command)
    if start is None:
        reason = "the default, since the command names no Python file that is here"
        return [Group(".".join(path), False, reason) for path in groups]
    options = {option.name: option for option in declared_options(read_modules(*start))}
    return [found for path in groups for found in _by_source(path, config, options)]


def arguments(
    config: SweepConfig, values: Mapping[str, Any], program: str | None, command: Sequence[str] | None
) -> dict[str, Any]:
    """Return what ``${args}`` passes: the flat ``values``, with each group that is passed as JSON as one dict.

    For the other arguments see `passed_groups`.
    """
    as_json = [group.name for group in passed_groups(config, program, command) if group.as_json]
    if not as_json:
        return dict(values)
    paths = {parameter.name: parameter.path for parameter in config.space.parameters}
    found: dict[str, Any] = {}
    for name, value in values.items():
        path = paths.get(name, (name,))
        depth = next((depth for depth in range(1, len(path)) if ".".join(path[:depth]) in as_json), None)
        if depth is None:
            found[name] = value
            continue
        level = found.setdefault(".".join(path[:depth]), {})
        for part in path[depth:-1]:
            level = level.setdefault(part, {})
        level[path[-1]] = value
    return found


def declared_options(modules: Iterable[Module]) -> list[Option]:
    """Return the options that parsers declare with a name in quotes: of argparse, click, typer and absl."""
    found = []
    for module in modules:
        has_jsonargparse = _imports_any(module.tree, _JSONARGPARSE)
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Call):
                continue
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            names: list[str] = []
            if function in ("option", "Option") or (function == "add_argument" and not has_jsonargparse):
                parts = [part.strip() for text in texts for part in text.split("/")]  # of click: --cache/--no-cache
                names = [part.removeprefix("--") for part in parts if part.startswith("--")]
            elif function.startswith("DEFINE_") and not function.startswith("DEFINE_config"):
                names = texts[:1]
            found += [Option(name, module.file, node.lineno) for name in names]
    return found


def _imports_any(tree: ast.Module, names: Sequence[str]) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(alias.name in names for alias in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and node.module in names:
            return True
    return False


def _outermost(config: SweepConfig) -> list[Path]:
    paths = [parameter.path for parameter in config.space.parameters]
    return list(dict.fromkeys(path[:1] for path in paths if len(path) > 1))


def _by_source(group: Path, config: SweepConfig, options: Mapping[str, Option]) -> list[Group]:
    """Return the form of a group by the options of the script, then of the groups in it that are passed as JSON."""
    name = ".".join(group)
    inside = [parameter for parameter in config.space.parameters if parameter.path[: len(group)] == group]
    own = options.get(name)
    below = next((option for option in options.values() if option.name.startswith(f"{name}.")), None)
    if own is not None and below is None:
        return [Group(name, True, f"{own.file}:{own.line} declares --{name} and not --{inside[0].name}")]
    deeper = dict.fromkeys(each.path[: len(group) + 1] for each in inside if len(each.path) > len(group) + 1)
    forms = [form for each in deeper for form in _by_source(each, config, options) if form.as_json]
    reason = f"the default, since the source declares no --{name}"
    if below is not None:
        reason = f"{below.file}:{below.line} declares --{below.name}"
    return [Group(name, False, reason), *forms]
