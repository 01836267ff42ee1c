"""Measure the library: files, lines of code, and circles of imports.

Usage: ``python tests/measure.py`` prints files and lines of code by room. A line of code is one with a token that is
neither a comment nor a docstring.
"""

from __future__ import annotations

import ast
import io
import statistics
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["ROOT", "circles", "code_lines", "imports", "module_of", "room_of", "sources"]

ROOT = Path(__file__).resolve().parent.parent

_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def sources() -> list[Path]:
    """Every Python file of the library, that of the integrations included.

    Two folders are data: that of the stand-in, which is another package's layout in files of few lines, and the scripts
    that ``lightsweep init`` writes.
    """
    data = (ROOT / "lightsweep" / "stand_in" / "path", ROOT / "lightsweep" / "starters")
    found = [*(ROOT / "lightsweep").rglob("*.py"), *(ROOT / "integrations").rglob("*.py")]
    return sorted(path for path in found if not any(path.is_relative_to(folder) for folder in data))


def room_of(path: Path) -> str:
    """The folder below ``lightsweep/``, or the name of a module that is a room."""
    parts = path.relative_to(ROOT).parts
    return "integrations" if parts[0] == "integrations" else parts[1].removesuffix(".py")


def module_of(path: Path) -> str:
    """The name under which the file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = ("lightsweep", *parts) if parts[0] == "integrations" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def code_lines(text: str) -> int:
    """The number of lines with a token that is neither a comment nor part of a docstring."""
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                docstrings.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def imports(text: str, known: Mapping[str, object]) -> set[str]:
    """The modules among ``known`` that a file imports anywhere: in functions and for type checkers too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.update({full if full in known else node.module} & set(known))
    return found


def circles(graph: Mapping[str, set[str]]) -> Iterator[tuple[str, ...]]:
    """The groups of modules each of which reaches all others of its group, sorted."""
    reached = {module: _reachable(module, graph) for module in graph}
    seen: set[str] = set()
    for module in sorted(graph):
        group = tuple(sorted(other for other in reached[module] if module in reached[other]))
        if module in reached[module] and module not in seen:
            seen.update(group)
            yield group


def _reachable(module: str, graph: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    ahead = list(graph[module])
    while ahead:
        if (following := ahead.pop()) not in found:
            found.add(following)
            ahead += graph[following]
    return found


def main() -> None:
    """Print the table."""
    files, code = Counter[str](), Counter[str]()
    lengths = []
    for path in sources():
        text = path.read_text()
        files[room_of(path)] += 1
        code[room_of(path)] += code_lines(text)
        lengths.append(len(text.splitlines()))
    for room in sorted(files):
        print(f"{room:14}{files[room]:5}{code[room]:8,}")
    print(f"{'all':14}{sum(files.values()):5}{sum(code.values()):8,}")
    print(f"lines of a file: median {statistics.median(lengths):.0f}, longest {max(lengths)}")


if __name__ == "__main__":
    main()
