"""Finding the key or word that was meant."""

from __future__ import annotations

from collections.abc import Iterable

from lightsweep.errors import closest

__all__ = ["hint", "one_edit_away"]


def one_edit_away(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` is, or that it becomes by one edit; ``None`` where there is none.

    An edit inserts, drops or replaces one character, or swaps two neighbours. Case does not count, ``-``, ``_`` and
    a blank are the same.
    """
    given = _folded(word)
    # The same word comes before one of the same length (a swap: "valuse" is "values"), and that before others.
    ranked = sorted(known, key=lambda name: (_folded(name) != given, len(_folded(name)) != len(given)))
    return next((name for name in ranked if _within_one(given, _folded(name))), None)


def hint(word: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the word that was most likely meant, or an empty string."""
    words = list(known)
    exact = one_edit_away(word, words)
    return f"; did you mean {exact!r}?" if exact else closest(word, words)


def _folded(word: str) -> str:
    return word.strip().rstrip(":").casefold().replace("-", "_").replace(" ", "_")


def _within_one(a: str, b: str) -> bool:
    if a == b:
        return True
    if abs(len(a) - len(b)) > 1:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    rest_a, rest_b = a[start:], b[start:]
    if len(a) == len(b):
        swapped = rest_a[1:2] + rest_a[:1] + rest_a[2:]
        return rest_a[1:] == rest_b[1:] or swapped == rest_b
    return rest_a[1:] == rest_b if len(a) > len(b) else rest_a == rest_b[1:]
