"""The imports that a script begins with: read from its source, never run.

Only those count that nothing precedes which could matter to them. So reading stops at the first statement that may do
more than define a name, in the script or in a module of its own that it imports.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lightsweep.schema.source import parsed

_LEFT_OUT = ("__future__", "lightsweep")
_QUIET_CALLS = ("logging.getLogger", "getLogger")


@dataclass(frozen=True)
class Statement:
    """An import, or an assignment to a variable of the environment that precedes one.

    Attributes:
        file: The file that it is in.
        line: Its line there.
        code: The statement, in one line.
        root: The first part of the module's name; empty for an assignment.
    """

    file: str
    line: int
    code: str
    root: str


@dataclass(frozen=True)
class Leading:
    """The leading imports of a script.

    Attributes:
        statements: In the order of their execution. A module may turn out not to be installed: then they end there.
        files: The files that were read, the script and modules of its own.
    """

    statements: tuple[Statement, ...]
    files: tuple[Path, ...]


def leading_imports(*scripts: Path) -> Leading:
    """Return the leading imports of scripts, one after the other as if they were one; none if one cannot be read."""
    statements: list[Statement] = []
    files: list[Path] = []
    for script in scripts:
        reader = _Reader(script.resolve().parent)
        complete = reader.read(script, [])
        statements += reader.statements
        files += reader.files
        if not complete:
            break
    return Leading(tuple(statements), tuple(files))


class _Reader:
    """Reads a script, and the modules in its folder as they are imported.

    Args:
        folder: The folder of the script, which is first in the path of its Python.
    """

    def __init__(self, folder: Path) -> None:
        self.statements: list[Statement] = []
        self.files: list[Path] = []
        self._folder = folder

    def read(self, path: Path, package: list[str]) -> bool:
        """Read a file; return whether it holds nothing that may matter to the imports after it."""
        if path in self.files:
            return True
        self.files.append(path)
        tree = parsed(path)
        if tree is None:
            return False
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                if not all(self._take(path, package, each) for each in _single(node)):
                    return False
            elif _sets_variable(node):
                self._add(path, node, "")
            elif not _is_quiet(node):
                return False
        return True

    def _take(self, path: Path, package: list[str], node: ast.Import | ast.ImportFrom) -> bool:
        """Take an import of one name."""
        below = node.level if isinstance(node, ast.ImportFrom) else 0
        name = (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        parts = [*package[: len(package) - below + 1], *filter(None, name.split("."))] if below else name.split(".")
        if below and (not package or below > len(package)):
            return False
        if parts[0] in _LEFT_OUT:
            return True
        if not below and _module(self._folder, parts[:1]) is None and not (self._folder / parts[0]).is_dir():
            self._add(path, node, parts[0])
            return True
        return self._follow(parts, node.names[0].name if isinstance(node, ast.ImportFrom) else "")

    def _follow(self, parts: list[str], member: str) -> bool:
        """Read a module of the script's folder, with the packages that it is in and a member that may be a module."""
        for count in range(1, len(parts) + 1):
            found = _module(self._folder, parts[:count])
            if found is None:
                if count == len(parts):
                    return False
                continue  # a package without a file, or a module that does not exist
            package = parts[:count] if found.name == "__init__.py" else parts[: count - 1]
            if not self.read(found, package):
                return False
        found = _module(self._folder, [*parts, member]) if member and member != "*" else None
        return found is None or self.read(found, [*parts, member] if found.name == "__init__.py" else parts)

    def _add(self, path: Path, node: ast.stmt, root: str) -> None:
        self.statements.append(Statement(str(path), node.lineno, ast.unparse(node), root))


def _module(folder: Path, parts: list[str]) -> Path | None:
    base = folder.joinpath(*parts)
    return next((path for path in (base / "__init__.py", base.with_name(f"{base.name}.py")) if path.is_file()), None)


def _single(node: ast.Import | ast.ImportFrom) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield an import for each name of an import."""
    for alias in node.names:
        if isinstance(node, ast.Import):
            yield ast.copy_location(ast.Import([alias]), node)
        else:
            yield ast.copy_location(ast.ImportFrom(node.module, [alias], node.level), node)


def _sets_variable(node: ast.stmt) -> bool:
    """Return whether a statement is ``os.environ["A"] = "b"`` or ``os.environ.setdefault("A", "b")``."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Subscript):
        place, values = node.targets[0].value, [node.targets[0].slice, node.value]
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and not node.value.keywords:
        called = node.value.func
        if not isinstance(called, ast.Attribute) or called.attr != "setdefault":
            return False
        place, values = called.value, node.value.args
    else:
        return False
    texts = all(isinstance(value, ast.Constant) and isinstance(value.value, str) for value in values)
    return texts and len(values) == 2 and ast.unparse(place) == "os.environ"


def _is_quiet(node: ast.stmt) -> bool:
    """Return whether a statement only defines a name, so that no import after it can depend on it."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Pass):
        return True
    if isinstance(node, ast.If):
        return ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING") and not node.orelse
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return False
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = all(isinstance(target, ast.Name) for target in targets)
    calls = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
    return names and all(ast.unparse(call.func) in _QUIET_CALLS for call in calls)
