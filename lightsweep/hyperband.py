"""Early termination by hyperband bands: when a run is judged, against what, and why it stops.

An iteration is the n-th time that a run logged the sweep's metric with a finite number. At fixed numbers of iterations,
the bands, a run is compared with what every run of the sweep had at the same number. Pure functions, so that a verdict
can be computed anywhere and is the same everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

__all__ = ["Hyperband", "Verdict", "judge", "threshold", "verdict"]

# Floats, which the bands are computed in, count without gaps up to here.
_MOST = 2**53


@dataclass(frozen=True)
class Hyperband:
    """The settings of ``early_terminate``.

    Attributes:
        min_iter: The first band, in iterations; the others are ``int(min_iter * eta**k)`` without end.
        max_iter: The longest a run can be, in iterations: the bands are ``int(max_iter / eta**k)`` for k = 1 .. s.
            Needs ``s``. Counts if ``min_iter`` is given as well.
        s: The number of bands below ``max_iter``; bands below 1 are dropped.
        eta: The ratio of neighbouring bands, above 1; the best ``1/eta`` of the runs go on beyond a band.
        strict: Whether a run is judged by its value at the band (True) or by its best so far (False).

    Raises:
        ValueError: A setting out of its range, or neither ``min_iter`` nor ``max_iter`` with ``s``.
    """

    min_iter: int | None = None
    max_iter: int | None = None
    s: int | None = None
    eta: float = 3
    strict: bool = True

    def __post_init__(self) -> None:
        if not 1 < self.eta < math.inf:
            raise ValueError(f"eta must be a finite number above 1, not {self.eta}")
        for what, number in (("min_iter", self.min_iter), ("max_iter", self.max_iter), ("s", self.s)):
            if number is not None and not (1 <= number <= _MOST and number % 1 == 0):
                raise ValueError(f"{what} must be a whole number from 1 to {_MOST}, not {number}")
        if self.max_iter is not None and self.s is None:
            raise ValueError("max_iter needs s, the number of bands below it")
        if self.max_iter is None and self.min_iter is None:
            raise ValueError("hyperband needs min_iter, or max_iter together with s")

    def bands(self, upto: int | None = None) -> tuple[int, ...]:
        """The numbers of iterations at which runs are judged, ascending and distinct.

        Args:
            upto: Leave out bands above it. Needed with ``min_iter`` alone, whose bands have no end.

        Raises:
            ValueError: The bands have no end and ``upto`` is not given.
        """
        if self.max_iter is None and upto is None:
            raise ValueError("the bands of min_iter have no end: say up to which iteration")
        return tuple(takewhile(lambda band: upto is None or band <= upto, self._ascending()))

    def first(self, count: int) -> tuple[int, ...]:
        """The lowest ``count`` bands, ascending; fewer where there are fewer."""
        return tuple(islice(self._ascending(), count))

    def reached(self, iterations: int) -> int | None:
        """The highest band that is not above ``iterations``; ``None`` below the first."""
        bands = self.bands(upto=iterations)
        return bands[-1] if bands else None

    def _ascending(self) -> Iterator[int]:
        return iter(sorted(self._below_max())) if self.max_iter is not None else self._from_min()

    def _below_max(self) -> set[int]:
        bands: set[int] = set()
        for k in range(1, (self.s or 0) + 1):
            band = int((self.max_iter or 0) / self.eta**k)
            if band < 1:
                break
            bands.add(band)
        return bands

    def _from_min(self) -> Iterator[int]:
        first, k, last = self.min_iter or 1, 0, 0
        while (band := int(first * self.eta**k)) <= _MOST:  # no run gets further
            if band > last:
                yield band
            last = band
            # With eta close to 1 many k in a row give the same band: go on just before the first that does not.
            k = max(k + 1, math.floor(math.log((band + 1) / first) / math.log(self.eta)) - 1)


@dataclass(frozen=True)
class Verdict:
    """Whether a run stops, and why.

    Attributes:
        stop: Whether the run is to leave its training loop.
        reason: The verdict in words and numbers.
        band: The band at which the run was judged; ``None`` below the first.
        value: What was compared: the value at the band, or the best so far. ``None`` below the first band.
        threshold: What it was compared with. ``None`` below the first band.
        compared: How many runs had reached the band, this one included.
    """

    stop: bool = False
    reason: str = ""
    band: int | None = None
    value: float | None = None
    threshold: float | None = None
    compared: int = 0


def threshold(values: Sequence[float], eta: float, goal: str, *, ascending: bool = False) -> float:
    """The element at index ``int(n / eta)``, from 0, of the ``n`` values sorted best first.

    NaN and both infinities rank worst; where one of them is the threshold, it is inf for ``minimize`` and -inf for
    ``maximize``.

    Args:
        values: The values at one band of all runs that have reached it, in any order.
        eta: Above 1.
        goal: ``"minimize"`` or ``"maximize"``.
        ascending: Whether the values are known to be finite and in ascending order, so that none is looked at but one.

    Raises:
        ValueError: No values, or another goal.
    """
    if not values:
        raise ValueError("a threshold needs the value of at least one run")
    sign = _sign(goal)
    if ascending:
        place = _place(len(values), eta)
        return values[place if goal == "minimize" else -1 - place]
    finite = sorted(filter(math.isfinite, values), reverse=goal == "maximize")
    place = _place(len(values), eta)
    return finite[place] if place < len(finite) else sign * math.inf


def judge(hyperband: Hyperband, goal: str, history: Sequence[float], values_at: Sequence[float]) -> Verdict:
    """Whether a run stops: it does if its value is strictly worse than the threshold at the highest band it reached.

    So the first run to reach a band goes on there, and so do ties. To be called at every report, since thresholds move
    as other runs arrive.

    Args:
        hyperband: The settings.
        goal: ``"minimize"`` or ``"maximize"``.
        history: The finite values of the run itself, in order; others are left out, as they are no iterations.
        values_at: The value at ``hyperband.reached(len(history))`` of every run of the sweep that has reached it, the
            run itself included; not looked at below the first band.

    Raises:
        ValueError: ``values_at`` is empty though a band is reached, or another goal.
    """
    sign = _sign(goal)
    finite = [value for value in history if math.isfinite(value)]
    band = hyperband.reached(len(finite))
    if band is None:
        return verdict(hyperband, goal, len(finite), None, 0.0, values_at)
    value = finite[band - 1] if hyperband.strict else sign * min(sign * value for value in finite)
    return verdict(hyperband, goal, len(finite), band, value, values_at)


def verdict(
    hyperband: Hyperband,
    goal: str,
    iterations: int,
    band: int | None,
    value: float,
    values_at: Sequence[float],
    *,
    ascending: bool = False,
) -> Verdict:
    """Return the verdict of :func:`judge`, from what it depends on, however long the history is.

    Args:
        hyperband: The settings.
        goal: ``"minimize"`` or ``"maximize"``.
        iterations: The number of finite values that the run has reported.
        band: ``hyperband.reached(iterations)``; the rest is ignored if it is ``None``.
        value: The run's value at the band; its best value so far unless ``hyperband.strict``.
        values_at: See :func:`judge`.
        ascending: Whether ``values_at`` is known to be finite and in ascending order.

    Raises:
        ValueError: ``values_at`` is empty though a band is reached, or another goal.
    """
    sign = _sign(goal)
    if band is None:
        return Verdict(False, f"no band reached after {_count(iterations, 'iteration')}")
    limit = threshold(values_at, hyperband.eta, goal, ascending=ascending)
    stop = sign * value > sign * limit
    shown, shown_limit = _distinct(value, limit)
    subject = shown if hyperband.strict else f"the best so far, {shown},"
    rank = _ordinal(_place(len(values_at), hyperband.eta) + 1)
    reason = (
        f"band {band}: {subject} is {'' if stop else 'not '}worse than the threshold {shown_limit} "
        f"({rank} best of {_count(len(values_at), 'run')}), goal {goal}"
    )
    return Verdict(stop, reason, band, value, limit, len(values_at))


def _sign(goal: str) -> int:
    """1 where smaller is better, -1 where greater is."""
    if goal not in ("minimize", "maximize"):
        raise ValueError(f"goal must be minimize or maximize, not {goal!r}")
    return 1 if goal == "minimize" else -1


def _place(count: int, eta: float) -> int:
    """Index of the threshold among ``count`` sorted values; below ``count`` even where eta is just above 1."""
    return int(count / eta)


def _distinct(value: float, other: float) -> tuple[str, str]:
    """Both numbers with as many digits as it takes to tell them apart, four at least."""
    for digits in range(4, 18):
        texts = f"{value:#.{digits}g}", f"{other:#.{digits}g}"
        if value == other or texts[0] != texts[1]:
            break
    return texts


def _ordinal(number: int) -> str:
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
