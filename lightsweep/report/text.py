"""Text of users on its way into a figure or a page: one line, short, and nothing but text."""

from __future__ import annotations

import json
import math
from typing import Any

__all__ = ["label", "number", "shorten", "shown"]


def shorten(text: str, width: int) -> str:
    """One line without control characters, of at most ``width``: the beginning and the end of a longer one."""
    line = "".join(character if character.isprintable() else " " for character in text)
    if len(line) <= width:
        return line
    end = (width - 1) // 3
    return f"{line[: width - 1 - end]}…{line[len(line) - end :]}"


def label(text: str, width: int = 40) -> str:
    """``text`` for those places where plotly reads a kind of HTML, placeholders (``%{x}``) and TeX (``$x$``)."""
    line = shorten(text, width)
    for character in "&<>{}$":  # the ampersand first, since what it becomes holds none of the others
        line = line.replace(character, f"&#{ord(character)};")
    return line


def number(value: float) -> str:
    """A number as short as readers compare it: four digits."""
    return f"{value:.4g}"


def shown(value: Any, width: int = 40) -> str:
    """A parameter's value as text: strings as they are, lists and dicts as JSON."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, float):
        text = number(value) if math.isfinite(value) else str(value)
    elif value is None or isinstance(value, (bool, int)):
        text = str(value)
    else:
        text = json.dumps(value, default=str, ensure_ascii=False)
    return shorten(text, width)
