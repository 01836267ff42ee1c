"""What every distribution of a sweep file can do."""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, overload

__all__ = ["Computed", "Distribution", "Value", "describe", "finite", "is_number", "unit_interval"]

Value = Any
"""A native Python value: int, float, str, bool, None, list or dict."""


class Distribution(ABC):
    """One parameter's values and how likely they are, as a quantile function and its inverse.

    Every distribution is a frozen dataclass: equal ones compare equal and hash alike. All values that come out are
    native Python ones (never NumPy scalars), and a fresh copy each time where they are mutable.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """The distribution's name in a sweep file, such as ``"q_log_uniform_values"``."""

    @property
    @abstractmethod
    def size(self) -> int | None:
        """The number of distinct values; ``None`` where that is not finite."""

    @property
    def ordered(self) -> bool:
        """Whether ``quantile`` sorts by size; False only for a ``Categorical`` that is not all numbers."""
        return True

    @abstractmethod
    def quantile(self, u: float) -> Value:
        """The value below which the share ``u`` of the probability lies.

        ``u`` is clipped to [0, 1], and to just inside where the value would be infinite.

        Raises:
            ValueError: ``u`` is NaN.
        """

    @abstractmethod
    def inverse(self, value: Value) -> float:
        """The ``u`` in [0, 1] that gives ``value``; the midpoint of its interval where many do.

        Raises:
            ValueError: ``value`` is none of this distribution's.
        """

    def value_at(self, index: int) -> Value:
        """The ``index``-th distinct value in grid order, from 0.

        Raises:
            IndexError: Not in ``range(size)``.
            ValueError: The number of values is not finite.
        """
        raise ValueError(f"{self.name} has no countable values, so none at index {index}")

    def index_of(self, value: Value) -> int:
        """The inverse of ``value_at``.

        Raises:
            ValueError: ``value`` is none of this distribution's, or the number of values is not finite.
        """
        raise ValueError(f"{self.name} has no countable values, so {describe(value)} has no index")

    def weights(self) -> Sequence[float] | None:
        """The probability of each distinct value in grid order; ``None`` where their number is not finite."""
        return None

    def check_index(self, index: int) -> None:
        """Raises ``IndexError`` unless ``index`` is in ``range(size)``; for a distribution of finite size."""
        if self.size is None or not 0 <= index < self.size:
            raise IndexError(f"{self.name} has {self.size} values, so none at index {index}")


class Computed(Sequence[float]):
    """A read-only sequence whose items are computed when asked for, so that 10**18 of them cost nothing."""

    def __init__(self, length: int, item: Callable[[int], float]) -> None:
        self._length = length
        self._item = item

    def __len__(self) -> int:
        return min(self._length, sys.maxsize)

    @overload
    def __getitem__(self, index: int) -> float: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[float]: ...

    def __getitem__(self, index: int | slice) -> float | Sequence[float]:
        if isinstance(index, slice):
            return [self._item(i) for i in range(*index.indices(len(self)))]
        place = index + self._length if index < 0 else index
        if not 0 <= place < self._length:
            raise IndexError(index)
        return self._item(place)


def unit_interval(u: float) -> float:
    """``u`` as a native float in [0, 1]; ``ValueError`` for NaN."""
    u = float(u)
    if math.isnan(u):
        raise ValueError("u must be a number in [0, 1], not nan")
    return min(max(u, 0.0), 1.0)


def is_number(value: object) -> bool:
    """Whether ``value`` is an int or float: a bool is not, and neither is NaN."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def finite(what: str, value: float) -> float:
    """``value`` as a float; ``ValueError`` that names ``what`` unless it is a finite number."""
    try:
        number = float(value) if is_number(value) else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{what} must be a finite number, not {describe(value)}")
    return number


def describe(value: object, length: int = 60) -> str:
    """``repr(value)``, shortened to fit in a message."""
    text = repr(value)
    return text if len(text) <= length else text[: length - 3] + "..."
