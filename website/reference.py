"""The pages of reference: commands from the command line itself, Python from the docstrings, which are only parsed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["commands_page", "glossary_page", "python_page", "wandb_page"]

ROOT = Path(__file__).resolve().parent.parent
Definition = ast.ClassDef | ast.FunctionDef

MODULES = {
    "lightsweep": "For scripts, notebooks and programs.",
    "lightsweep.integrations.lightning": "For Lightning's Trainer.",
    "lightsweep.integrations.transformers": "For Hugging Face's Trainer.",
    "lightsweep.integrations.keras": "For Keras.",
    "lightsweep.integrations.xgboost": "For XGBoost.",
    "lightsweep.integrations.lightgbm": "For LightGBM.",
    "lightsweep.integrations.accelerate": "For accelerate.",
    "lightsweep.integrations.distributed": "For loops on several processes.",
    "lightsweep.integrations.base": "For the callback of another trainer.",
}
MEMBERS = {
    "Run": ("log", "report", "verdict", "finish", "iterations", "checkpoint", "rank"),
    "DistributedRun": ("log", "report", "check", "dir"),
}
"""What users call of classes that show more than that."""


def commands_page() -> str:
    """Return the reference of the commands, as ``lightsweep --help`` and the help of each command have it."""
    from typer.main import get_command

    from lightsweep.cli.main import GROUPS, app

    group: Any = get_command(app)
    lines = [
        "# Commands",
        "",
        "Made from the program itself; `lightsweep COMMAND --help` shows the same. Exit codes: 0 for success, 1 if the",
        "work failed, 2 for wrong input, 85 of an agent that left work by `--drain`, 128 + N after signal N.",
        "",
    ]
    with group.make_context("lightsweep", [], resilient_parsing=True) as context:
        for heading, names in GROUPS.items():
            lines += [f"## {heading}", ""]
            for name in names:
                command = group.get_command(context, name)
                lines += _command(command, f"lightsweep {name}", "###")
                for part, inner in getattr(command, "commands", {}).items():
                    lines += _command(inner, f"lightsweep {name} {part}", "####")
    return "\n".join(lines) + "\n"


def _command(command: Any, path: str, heading: str) -> list[str]:
    lines = [f"{heading} {path}", ""]
    with command.make_context(path, [], resilient_parsing=True) as context:
        usage = command.get_usage(context).removeprefix("Usage: ")
        rows = [(option, *option.get_help_record(context)) for option in command.get_params(context) if _shown(option)]
    lines += ["```text", re.sub(r"\s+", " ", usage).strip(), "```", "", _plain(command.help), ""]
    for title, kind in (("argument", "argument"), ("option", "option")):
        found = [row for row in rows if row[0].param_type_name == kind]
        if found:
            lines += [f"| {title} | |", "|---|---|"]
            lines += [f"| `{_cell(name)}` | {_cell(text, markup=False)} |" for _, name, text in found]
            lines += [""]
    return lines


def _shown(option: Any) -> bool:
    return not getattr(option, "hidden", False) and option.name != "help" and option.param_type_name in _KINDS


_KINDS = ("argument", "option")


def _cell(text: str, *, markup: bool = True) -> str:
    text = re.sub(r"\s+", " ", text).strip().replace("|", "\\|")
    return text if markup else text.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")


def _plain(text: str | None) -> str:
    return (text or "").replace("\b\n", "").replace("<", "&lt;").strip()


def python_page() -> str:
    """Return the reference of the public names of `MODULES`."""
    lines = [
        "# Python",
        "",
        "The names that may be imported; all others are private and change without notice. The names of W&B, which",
        "`import lightsweep as wandb` has too, are [in a table](wandb.md).",
        "",
    ]
    for module, text in MODULES.items():
        lines += [f"## {module}", "", text, ""]
        for name in _exported(module):
            definition = _find(module, name)
            if definition is not None:
                lines += _definition(definition, name, "###", module)
    return "\n".join(lines) + "\n"


def _exported(module: str) -> list[str]:
    for node in _tree(module).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            return list(ast.literal_eval(node.value))
    raise LookupError(f"{module} has no __all__")


def _file(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    if module.startswith("lightsweep.integrations"):
        path = ROOT.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _tree(module: str) -> ast.Module:
    return ast.parse(_file(module).read_text(encoding="utf-8"))


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """All statements of a module, those for type checkers included."""
    for node in body:
        yield node
        if isinstance(node, ast.If):
            yield from _statements(node.body)


def _find(module: str, name: str) -> Definition | None:
    """Return the definition of a name, in the module or where the module imports it from; None if it has none."""
    for node in _statements(_tree(module).body):
        if isinstance(node, Definition) and node.name == name:
            return node
        if isinstance(node, ast.ImportFrom) and node.module and any(alias.name == name for alias in node.names):
            return _find(node.module, name) if node.module.startswith("lightsweep") else None
    return None


def _definition(node: Definition, name: str, heading: str, module: str, owner: str = "") -> list[str]:
    shown = f"{owner}.{name}" if owner else name
    lines = [f"{heading} `{shown}`", ""]
    if isinstance(node, ast.FunctionDef):
        lines += ["```python", *_signature(node, name, bool(owner)), "```", ""]
    elif node.bases:
        lines += ["Inherits " + ", ".join(f"`{ast.unparse(base)}`" for base in node.bases) + ".", ""]
    lines += [*_docstring(ast.get_docstring(node) or ""), ""]
    if isinstance(node, ast.ClassDef):
        for member in node.body:
            if isinstance(member, ast.FunctionDef) and _public(member, node.name):
                lines += _definition(member, member.name, heading + "#", module, owner=name)
    return lines


def _public(member: ast.FunctionDef, owner: str) -> bool:
    if any(isinstance(each, ast.Attribute) for each in member.decorator_list):  # of a setter
        return False
    names = MEMBERS.get(owner)
    return member.name in names if names else not member.name.startswith("_") and bool(ast.get_docstring(member))


def _signature(node: ast.FunctionDef, name: str, method: bool) -> list[str]:
    """Return a signature, one argument a line if it is long."""
    marks = {each.id for each in node.decorator_list if isinstance(each, ast.Name)}
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    if "property" in marks:
        return [f"{name}{returns.replace(' ->', ':')}  # property"]
    arguments = node.args
    if method and "staticmethod" not in marks:
        arguments.args = arguments.args[1:]
    text = ast.unparse(arguments)
    if len(name) + len(text) + len(returns) < 90:
        return [f"{name}({text}){returns}"]
    parts = re.split(r", (?=[*\w]+(?:[:=,]|$))", text)
    return [f"{name}(", *(f"    {part}," for part in parts), f"){returns}"]


_SECTIONS = {"Args:", "Raises:", "Returns:", "Attributes:", "Yields:"}


def _docstring(text: str) -> list[str]:
    """Return a docstring as Markdown: its sections as lists, its double backticks as single ones."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text).replace("``", "`").replace("<", "&lt;")
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        if line.strip() in _SECTIONS:
            lines += [f"**{line.strip().rstrip(':')}**", ""]
            inside = True
        elif inside and (item := re.match(r" {4}(\*{0,2}[\w.]+): (.*)", line)):
            lines.append(f"- `{item[1]}`: {item[2]}")
        elif inside and line.startswith("    "):
            lines.append(f"  {line.strip()}" if lines[-1] else line.strip())
        else:
            inside = inside and not line.strip()
            lines.append(line)
    return lines


def glossary_page() -> str:
    """Return the words of docs/architecture.md in alphabetical order, each with an anchor."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.split("| word | meaning |\n|---|---|\n")[1].split("\n\n")[0]
    words = sorted(tuple(cell.strip() for cell in row.strip("|").split("|", 1)) for row in table.splitlines())
    lines = ["# Glossary", ""]
    for word, meaning in words:
        lines += [f"## {word}", "", meaning[0].upper() + meaning[1:] + ".", ""]
    return "\n".join(lines)


def wandb_page() -> str:
    """Return what each name of W&B does here, from the table that lightsweep itself uses."""
    from lightsweep.wandb import INTEGRATIONS, NAMES, RUN_NAMES

    lines = ["# Names of W&B", ""]
    for owner, names in {"wandb": NAMES, "run": RUN_NAMES, "wandb.integration": INTEGRATIONS}.items():
        lines += [f"## {owner}", "", f"| `{owner}.NAME` | here | |", "|---|---|---|"]
        lines += [f"| `{name}` | {known.kind} | {known.says} |" for name, known in names.items()]
        lines += [""]
    return "\n".join(lines)
