"""A sweep file with comments, from the config that it holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from lightsweep.analysis.words import one_line

__all__ = ["commented"]

_STEP = "  "
_LINE_ENDS = frozenset("\x85\u2028\u2029")


def commented(raw: Mapping[str, Any], heading: Iterable[str], comments: Mapping[tuple[str, ...], str]) -> str:
    """The YAML of a config.

    Args:
        raw: The config, plain values only.
        heading: Comment lines at the top.
        comments: For the path of a parameter the comment above it.
    """
    lines = [_comment(line) for line in heading]
    for key, value in raw.items():
        if key == "parameters" and isinstance(value, Mapping):
            lines.append("parameters:")
            lines += _parameters(value, (), comments, _STEP)
        else:
            lines += _dumped({key: value}, "")
    return "\n".join(lines) + "\n"


def _parameters(
    parameters: Mapping[str, Any], path: tuple[str, ...], comments: Mapping[tuple[str, ...], str], indent: str
) -> list[str]:
    lines: list[str] = []
    for name, block in parameters.items():
        place = (*path, name)
        if place in comments:
            lines.append(indent + _comment(comments[place]))
        below = block.get("parameters") if isinstance(block, Mapping) and place not in comments else None
        if isinstance(below, Mapping):
            lines += _opened(name, indent)
            lines.append(f"{indent}{_STEP}parameters:")
            lines += _parameters(below, place, comments, indent + 2 * _STEP)
        else:
            lines += _dumped({name: block}, indent)
    return lines


def _opened(name: str, indent: str) -> list[str]:
    """The line of a key with a mapping below it."""
    lines = _dumped({name: 0}, indent)
    lines[-1] = lines[-1].removesuffix("0").rstrip()
    return lines


def _dumped(value: Mapping[str, Any], indent: str) -> list[str]:
    # No line is folded, so that each can be indented.
    def text(allow_unicode: bool) -> str:
        return yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=allow_unicode, width=2**31)

    # Unicode's other line ends do not come back as they were unless they are escaped.
    written = text(True)
    if not _LINE_ENDS.isdisjoint(written):
        written = text(False)
    return [indent + line if line else line for line in written.removesuffix("\n").split("\n")]


def _comment(text: str) -> str:
    return f"# {one_line(text)}"
