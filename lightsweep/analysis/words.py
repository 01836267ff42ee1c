"""Words and numbers for comments and messages."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["counted", "few_runs", "one_line", "shown"]

_LONGEST = 60


def counted(number: int, thing: str) -> str:
    """``1 run``, ``2,000 runs``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def few_runs(number: int) -> str:
    """``1 run is too few``, ``9 runs are too few``."""
    return f"{counted(number, 'run')} {'is' if number == 1 else 'are'} too few"


def one_line(text: str) -> str:
    """Text without control characters and line ends, so that it stays inside a comment."""
    return "".join(character if character.isprintable() else " " for character in text)


def shown(value: Any) -> str:
    """A value in a sentence: numbers with six digits, text in quotes, long ones cut."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = one_line(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
