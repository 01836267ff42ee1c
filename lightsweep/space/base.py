"""The interface of a distribution: the other rooms use these properties and never test for a class."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lightsweep.text import quoted

Value = Any
"""A native Python value: int, float, str, bool, None, list or dict."""

Scale = Literal["linear", "log", "rank", "category"]
"""The axis of a parameter; ``rank``: the place in the sorted list of its numbers; ``category``: no order."""


@dataclass(frozen=True)
class Traits:
    """Properties of a distribution that the other rooms use, so that they need not know its class.

    Attributes:
        kind: The distribution in words, such as ``"log-uniform"``.
        scale: The axis on which steps of equal length matter equally.
        even: Whether all values are equally likely; a grid takes these distributions if their size is finite.
        step: The step of which all values are multiples; ``None`` without one.
        closed: Whether the support cannot be extended, as [0, 1] of ``beta``.
        bounded: The name in a sweep file of a distribution on the same axis with ``min`` and ``max`` as values.
        gaussian: ``mu`` and ``sigma`` if the distribution is normal on its axis.
        curve: The parameters of the curve in words, if they say more than the range.
    """

    kind: str
    scale: Scale = "linear"
    even: bool = False
    step: float | None = None
    closed: bool = False
    bounded: str = "uniform"
    gaussian: tuple[float, float] | None = None
    curve: str | None = None


class Distribution(ABC):
    """The values of one parameter and their probabilities, as a quantile function and its inverse.

    A subclass defines ``name``, ``size``, ``quantile`` and ``inverse``; ``traits`` and the rest have defaults. It is a
    frozen dataclass, so that equal distributions compare equal and hash alike. All returned values are native
    Python ones (never NumPy scalars), and a fresh copy each time if they are mutable.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """The name in a sweep file, such as ``"q_log_uniform_values"``."""

    @property
    @abstractmethod
    def size(self) -> int | None:
        """The number of distinct values; ``None`` if it is not finite."""

    @abstractmethod
    def quantile(self, u: float) -> Value:
        """Return the value below which the share ``u`` of the probability lies.

        ``u`` is clipped to [0, 1], and to just inside if the value would be infinite.

        Raises:
            ValueError: ``u`` is NaN.
        """

    @abstractmethod
    def inverse(self, value: Value) -> float:
        """Return the ``u`` in [0, 1] that gives ``value``; the midpoint of the interval if many do.

        Raises:
            ValueError: The distribution does not have this value.
        """

    def value_at(self, index: int) -> Value:
        """Return the ``index``-th distinct value in grid order, from 0.

        Raises:
            IndexError: Not in ``range(size)``.
            ValueError: The number of values is not finite.
        """
        if self.size is None:
            raise ValueError(f"{self.name} has no countable values, so none at index {index}")
        if not 0 <= index < self.size:
            raise IndexError(f"{self.name} has {self.size} values, so none at index {index}")
        return self._value_at(index)

    def index_of(self, value: Value) -> int:
        """Return the index of ``value`` in grid order, the inverse of ``value_at``.

        Raises:
            ValueError: The distribution does not have this value, or the number of values is not finite.
        """
        if self.size is None:
            raise ValueError(f"{self.name} has no countable values, so {quoted(value)} has no index")
        return self._index_of(value)

    def weights(self) -> Sequence[float] | None:
        """Return the probability of each distinct value in grid order; ``None`` if their number is not finite."""
        return None if self.size is None else [1 / self.size] * self.size

    def _value_at(self, index: int) -> Value:
        """The value at an index in range; by default that of a distribution with a single value."""
        return self.quantile((index + 0.5) / (self.size or 1))

    def _index_of(self, value: Value) -> int:
        """The index of a value; by default for values of equal probability."""
        return int(self.inverse(value) * (self.size or 1))

    @property
    def traits(self) -> Traits:
        """The properties that the storage, the analysis, the report and ``check`` use."""
        return Traits(self.name.replace("_", " "))

    @property
    def ordered(self) -> bool:
        """Return whether ``quantile`` sorts by size; False only for a list of values that are not all numbers."""
        return self.traits.scale != "category"

    @property
    def choices(self) -> Sequence[Value] | None:
        """The distinct values of a list in the sweep file, which are not copies; ``None`` for numbers from a range."""
        return None

    @property
    def support(self) -> tuple[float, float]:
        """The bounds, before values are rounded; infinite if there are none. Not for a list."""
        return self.quantile(0), self.quantile(1)

    def describe(self, spell: Callable[[Value], str]) -> str:
        """Return the single value, the parameters of the curve, or the range, in words; ``spell`` writes a value."""
        if self.size == 1:
            return spell(self.value_at(0))
        return self.traits.curve or f"{spell(self.quantile(0))} to {spell(self.quantile(1))}"

    def grid_notes(self) -> Iterator[tuple[str, str]]:
        """Yield what a grid does not do as the sweep file is written: the key, and a sentence."""
        yield from ()

    def place(self, value: float) -> float:
        """Return the place of a number on the axis: its natural logarithm on a logarithmic one, else itself."""
        if self.traits.scale != "log":
            return float(value)
        return math.log(max(value, (self.traits.step or 0) / 2 or math.ulp(0.0)))  # a rounded value may be 0


def identity(value: Value) -> Hashable:
    """Return a hashable that is equal for equal values: 1 and 1.0 are one value, 1 and True are two.

    Lists (tuples count as lists), dicts and sets are compared deep by the same rule; the order of a dict's keys does
    not matter; every NaN is the same value.

    Raises:
        ValueError: ``value`` contains something that cannot be hashed.
    """
    if isinstance(value, bool) or value is None:
        return (type(value).__name__, value)
    if isinstance(value, (int, float)):
        return ("number", "nan" if value != value else value)
    if isinstance(value, str):
        return ("str", str(value))
    if isinstance(value, (list, tuple)):
        return ("list", tuple(map(identity, value)))
    if isinstance(value, dict):
        return ("dict", frozenset((identity(key), identity(item)) for key, item in value.items()))
    if isinstance(value, (set, frozenset)):
        return ("set", frozenset(map(identity, value)))
    if isinstance(value, Hashable):
        return (type(value).__qualname__, value)
    raise ValueError(f"a parameter cannot have a value of type {type(value).__name__}: {quoted(value)}")


def fresh(value: Value) -> Value:
    """Return ``value`` itself, or a deep copy if it is mutable, so that no caller can change a parameter's values."""
    return copy.deepcopy(value) if isinstance(value, (list, tuple, dict, set)) else value


def unit_interval(u: float) -> float:
    """Return ``u`` as a native float in [0, 1]; ``ValueError`` for NaN."""
    u = float(u)
    if math.isnan(u):
        raise ValueError("u must be a number in [0, 1], not nan")
    return min(max(u, 0.0), 1.0)


def is_number(value: object) -> bool:
    """Return whether ``value`` is an int or float: a bool is not, and neither is NaN."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def finite(what: str, value: float) -> float:
    """Return ``value`` as a float; ``ValueError`` that names ``what`` unless it is a finite number."""
    try:
        number = float(value) if is_number(value) else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{what} must be a finite number, not {quoted(value)}")
    return number
