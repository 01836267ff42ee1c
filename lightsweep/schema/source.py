"""The Python source of a sweep's program: found and parsed, never run."""

from __future__ import annotations

import ast
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightsweep.schema.command import DEFAULT_COMMAND

MOST_MODULES = 50
MOST_BYTES = 1_000_000
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Module:
    """A parsed file.

    Attributes:
        file: Its path below the folder of the program, for messages.
        tree: Its syntax tree.
    """

    file: str
    tree: ast.Module


def program_file(program: str | None, command: Sequence[str] | None) -> tuple[Path, Path] | None:
    """Return the Python file that a command starts, and the folder that its imports are looked up in.

    The file is ``program`` if the command has ``${program}``, else the first item that names a ``.py`` file; after
    ``-m`` an item names a module of the working directory.

    Args:
        program: The path of the program, or its module; ``None`` without one.
        command: The ``command`` key; ``None`` for the default.

    Returns:
        ``None`` if the command names no Python file, or one that is not on this machine.
    """
    items = DEFAULT_COMMAND if command is None else command
    for before, item in zip(("", *items), items, strict=False):
        text = program if item == "${program}" else item
        if not text or (item != "${program}" and before != "-m" and not text.endswith(".py")):
            continue
        if before == "-m":
            found = _module_file(Path(), text)
            if found is not None:
                main = found.parent / "__main__.py"
                return (main if found.name == "__init__.py" and main.is_file() else found), Path()
        elif text.endswith(".py") and Path(text).is_file():
            return Path(text), Path(text).parent
    return None


def read_modules(file: Path, folder: Path) -> list[Module]:
    """Return the parsed ``file``, and the modules below ``folder`` that it imports, directly or not.

    Modules elsewhere (installed packages) are not looked for. At most `MOST_MODULES` files of at most `MOST_BYTES` are
    read; a file that cannot be read or parsed is left out.
    """
    waiting, seen, found = [file], {file.resolve()}, list[Module]()
    while waiting and len(found) < MOST_MODULES:
        path = waiting.pop(0)
        tree = parsed(path)
        if tree is None:
            continue
        found.append(Module(os.path.relpath(path, folder), tree))
        for name, below in _imported(tree):
            home = folder if not below else _above(path, below)
            near = _module_file(home, name) if home is not None else None
            if near is not None and near.resolve() not in seen:
                seen.add(near.resolve())
                waiting.append(near)
    return found


def parsed(path: Path) -> ast.Module | None:
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        with _LOCK, warnings.catch_warnings():  # which is not safe in threads by itself
            warnings.simplefilter("ignore")  # an invalid escape in a text of the script is its author's affair
            return ast.parse(path.read_bytes(), str(path))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _imported(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the dotted names that a module may import, each with its number of leading dots.

    Of ``from a import b`` both ``a`` and ``a.b``, since ``b`` may be a module.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module:
                yield node.module, node.level
            prefix = f"{node.module}." if node.module else ""
            yield from ((prefix + alias.name, node.level) for alias in node.names if alias.name != "*")


def _above(path: Path, dots: int) -> Path | None:
    """Return the folder that a relative import with so many dots begins at."""
    parents = path.resolve().parents
    return parents[dots - 1] if dots <= len(parents) else None


def _module_file(folder: Path, name: str) -> Path | None:
    """Return the file of a module below a folder; of a package its ``__init__.py``."""
    base = folder.joinpath(*name.split("."))
    for path in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None
