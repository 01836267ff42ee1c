"""Early termination by the bands of Hyperband: when a run is judged, against what, and why it stops.

An iteration is the n-th time that a run logged the sweep's metric with a finite number. At fixed numbers of iterations,
the bands, a run is compared with what every run of the sweep had at the same number. Band is W&B's word; the literature
calls it a rung, and the sequence of rungs that follows from one ``min_iter`` or ``max_iter`` a bracket. There is one
bracket here, and runs join it one by one, as in asynchronous successive halving.

Sources:
    Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar. Hyperband: A Novel Bandit-Based Approach to Hyperparameter
    Optimization. Journal of Machine Learning Research 18(185), 2018. https://jmlr.org/papers/v18/16-558.html
    The ratio ``eta`` and the rungs ``max_iter * eta**-k`` are those of its Algorithm 1.
    W&B's engine (``hyperband_stopping.py`` of ``wandb/sweeps``) gives the rounding of bands, the threshold as an
    element of the sorted values, and ``strict``.

The same reports give the same verdict anywhere: `judge` is a pure function, and `BandValues` keeps what it needs.

Four runs have reached the band of 3 iterations. With ``eta=2`` about the better half of them continues:

>>> hyperband = Hyperband(min_iter=3, eta=2)
>>> hyperband.bands(upto=30)
(3, 6, 12, 24)
>>> hyperband.reached(5)
3
>>> found = judge(hyperband, "minimize", history=[0.9, 0.8, 0.75], values_at=[0.25, 0.5, 0.7, 0.75])
>>> found.stop
True
>>> found.reason
'stopped at band 3: 0.7500 > cut-off 0.7000 (the 3rd best of 4 runs)'
>>> brief(found.reason)
'stopped at 3: 0.7500 (cut-off 0.7000)'
>>> judge(hyperband, "minimize", history=[0.9, 0.8], values_at=[]).reason
'no band reached after 2 iterations'
"""

from __future__ import annotations

import math
import re
import threading
from bisect import bisect, insort
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile
from typing import Any, NamedTuple, Protocol

from lightsweep.text import counted, ordinal

# Bands are computed as floats, which hold every whole number up to here.
_MOST = 2**53


class Rule(Protocol):
    """A rule by which runs are stopped early: its settings, and the bands at which it compares runs.

    A run waits for its verdict at the bands only, so bands must become rarer.
    """

    @property
    def length(self) -> int | None:
        """The iterations of a whole run, if the settings say so; ``None`` if only finished runs show it."""

    @property
    def text(self) -> str:
        """When runs are compared, and which of them stop: one to three sentences without the last full stop."""

    def first(self, count: int) -> tuple[int, ...]:
        """Return the lowest ``count`` bands, ascending; all bands if there are fewer."""

    def bands(self, upto: int) -> tuple[int, ...]:
        """Return the bands up to this number of iterations, ascending and distinct."""

    def comparison(self, goal: str) -> Comparison:
        """Return what keeps the values of all runs and compares them; ``goal`` is ``minimize`` or ``maximize``."""

    def cut_off(self, histories: Sequence[Sequence[float]], band: int, goal: str) -> float | None:
        """Return the value at a band beyond which runs stop, given all histories; ``None`` if the rule has none."""


class Comparison(Protocol):
    """The values of all runs as a rule needs them, and its verdicts. Safe from several threads.

    No method reads the storage: values come from the agent's memory for its own runs, from the last look at the storage
    for the others.
    """

    def after(self, iteration: int) -> int | None:
        """Return the first band after the iteration; ``None`` if there is none."""

    def reached(self, iterations: int) -> int | None:
        """Return the highest band that is not above ``iterations``; ``None`` below the first."""

    def note(self, run: str, history: Sequence[float]) -> None:
        """Note the finite values of a run, in order; values noted before are skipped."""

    def replace(self, run: str, history: Sequence[float]) -> None:
        """Note the values of a run that has ended in place of those before: only its last training counts."""

    def end(self, run: str) -> None:
        """Note that a run has trained to its end: it was neither stopped nor has it failed."""

    def exclude(self, run: str) -> None:
        """Note that a run is never the best: it breaks a constraint, or has failed or was killed."""

    def behind(self, run: str, iterations: int) -> bool:
        """Return whether some of the run's first ``iterations`` values have not been noted."""

    def judge(self, run: str, history: Sequence[float]) -> Verdict:
        """Note the finite values of a run, in order, and judge it."""


class _Settings(NamedTuple):
    min_iter: int | None = None
    max_iter: int | None = None
    s: int | None = None
    eta: float = 3
    strict: bool = True


class Hyperband(_Settings):
    """The settings of ``early_terminate``.

    Attributes:
        min_iter: The first band, in iterations; the others are ``int(min_iter * eta**k)`` without end ("minimum
            resource" in the literature).
        max_iter: The length of the longest run, in iterations: the bands are ``int(max_iter / eta**k)`` for k = 1 .. s
            ("maximum resource"). Needs ``s``, and takes precedence over ``min_iter``.
        s: The number of bands below ``max_iter``; bands below 1 are dropped.
        eta: The ratio of neighbouring bands, above 1 ("reduction factor"); about the best ``1/eta`` of the runs
            continue beyond a band.
        strict: Judge a run by its value at the band (True) or by its best value so far (False).

    Raises:
        ValueError: A setting out of its range, or neither ``min_iter`` nor ``max_iter`` with ``s``.
    """

    __slots__ = ()

    def __new__(cls, *settings: Any, **named: Any) -> Hyperband:
        self = super().__new__(cls, *settings, **named)
        if not 1 < self.eta < math.inf:
            raise ValueError(f"eta must be a finite number above 1, not {self.eta}")
        for what, number in (("min_iter", self.min_iter), ("max_iter", self.max_iter), ("s", self.s)):
            if number is not None and not (1 <= number <= _MOST and number % 1 == 0):
                raise ValueError(f"{what} must be a whole number from 1 to {_MOST}, not {number}")
        if self.max_iter is not None and self.s is None:
            raise ValueError("max_iter needs s, the number of bands below it")
        if self.max_iter is None and self.min_iter is None:
            raise ValueError("hyperband needs min_iter, or max_iter together with s")
        return self

    @property
    def length(self) -> int | None:
        """``max_iter``."""
        return self.max_iter

    @property
    def text(self) -> str:
        """When runs are compared, and how many continue."""
        value = "its value there" if self.strict else "its best value so far"
        bands, most = bands_text(self), self.max_iter
        if not bands:
            return f"hyperband at no band: max_iter {most} is too small"
        text = f"hyperband after {bands} reports of the metric"
        text += f". About 1 in {self.eta:g} runs survives each band, judged by {value}"
        if most is not None:
            text += f". Runs that reach {most} (max_iter) are complete; they are not compared at their end"
        if self.first(1) == (1,):
            text += ". Band 1 compares the first report of each run, which may be an evaluation before training"
        return text

    def bands(self, upto: int | None = None) -> tuple[int, ...]:
        """Return the numbers of iterations at which runs are judged, ascending and distinct.

        Args:
            upto: Leave out bands above it. Needed with ``min_iter`` alone, whose bands have no end.

        Raises:
            ValueError: The bands have no end and ``upto`` is not given.
        """
        if self.max_iter is None and upto is None:
            raise ValueError("the bands of min_iter have no end: give upto, the last iteration")
        return tuple(takewhile(lambda band: upto is None or band <= upto, self.ascending()))

    def first(self, count: int) -> tuple[int, ...]:
        """Return the lowest ``count`` bands, ascending; all bands if there are fewer."""
        return tuple(islice(self.ascending(), count))

    def reached(self, iterations: int) -> int | None:
        """Return the highest band that is not above ``iterations``; ``None`` below the first."""
        bands = self.bands(upto=iterations)
        return bands[-1] if bands else None

    def ascending(self) -> Iterator[int]:
        """Yield the bands in order; with ``min_iter`` alone they have no end."""
        if self.max_iter is None:
            return self._from_min()
        below = (int((self.max_iter or 0) / self.eta**k) for k in range(1, (self.s or 0) + 1))
        return iter(sorted(set(takewhile(lambda band: band >= 1, below))))

    def _from_min(self) -> Iterator[int]:
        first, k, last = self.min_iter or 1, 0, 0
        while (band := int(first * self.eta**k)) <= _MOST:  # no run is longer
            if band > last:
                yield band
            last = band
            # With eta close to 1 many k in a row give the same band: go on just before the first that does not.
            k = max(k + 1, math.floor(math.log((band + 1) / first) / math.log(self.eta)) - 1)

    def comparison(self, goal: str) -> BandValues:
        """Return the values of all runs at the bands, none so far."""
        return BandValues(self, goal)

    def cut_off(self, histories: Sequence[Sequence[float]], band: int, goal: str) -> float:
        """Return the threshold at a band, see :func:`threshold`."""
        return threshold([history[band - 1] for history in histories if len(history) >= band], self.eta, goal)


BANDS = 5  # how many are shown of more


def bands_text(rule: Rule) -> str:
    """Return the lowest bands, ``"1, 3, 9, 27, 81, ..."``; empty if there are none."""
    bands = rule.first(BANDS + 1)
    return ", ".join(map(str, bands[:BANDS])) + (", ..." if len(bands) > BANDS else "")


class Verdict(NamedTuple):
    """The answer to a report: stop or continue, and why.

    Attributes:
        stop: True if the run is to leave its training loop.
        reason: The verdict in words and numbers.
        band: The band at which the run was judged; ``None`` below the first.
        value: The value that was compared: at the band, or the best so far. ``None`` below the first band.
        threshold: The value that it was compared with. ``None`` below the first band.
        compared: The number of runs that had reached the band, this one included.
    """

    stop: bool = False
    reason: str = ""
    band: int | None = None
    value: float | None = None
    threshold: float | None = None
    compared: int = 0


def threshold(values: Sequence[float], eta: float, goal: str, *, ascending: bool = False) -> float:
    """Return the element at index ``int(n / eta)``, from 0, of the ``n`` values sorted best first.

    NaN and both infinities rank worst; if one of them is the threshold, it is inf for ``minimize`` and -inf for
    ``maximize``.

    Args:
        values: The values at one band of all runs that have reached it, in any order.
        eta: Above 1.
        goal: ``"minimize"`` or ``"maximize"``.
        ascending: The values are known to be finite and in ascending order, so one lookup is enough.

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
    """Judge a run: it stops if its value is strictly worse than the threshold at the highest band that it has reached.

    So the first run at a band continues, and so do ties. Call it at every report, since thresholds move as other runs
    reach the band.

    Args:
        hyperband: The settings.
        goal: ``"minimize"`` or ``"maximize"``.
        history: The values of the run itself, in order; those that are not finite are left out.
        values_at: The value at ``hyperband.reached(len(history))`` of every run of the sweep that has reached it, the
            run itself included; ignored below the first band.

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
    """Return the verdict of :func:`judge` in constant time, from numbers that the caller keeps.

    Args:
        hyperband: The settings.
        goal: ``"minimize"`` or ``"maximize"``.
        iterations: The number of finite values that the run has reported.
        band: ``hyperband.reached(iterations)``; the rest is ignored if it is ``None``.
        value: The run's value at the band; its best value so far unless ``hyperband.strict``.
        values_at: See :func:`judge`.
        ascending: ``values_at`` is known to be finite and in ascending order.

    Raises:
        ValueError: ``values_at`` is empty though a band is reached, or another goal.
    """
    sign = _sign(goal)
    if band is None:
        return Verdict(False, f"no band reached after {counted(iterations, 'iteration')}")
    limit = threshold(values_at, hyperband.eta, goal, ascending=ascending)
    stop = sign * value > sign * limit
    place = _place(len(values_at), hyperband.eta)
    origin = f"the {f'{ordinal(place + 1)} ' if place else ''}best of {counted(len(values_at), 'run')}"
    reason = compared(goal, stop, band, value, limit, origin, what="" if hyperband.strict else "best so far ")
    return Verdict(stop, reason, band, value, limit, len(values_at))


def compared(
    goal: str, stop: bool, band: int, value: float, limit: float, origin: str, what: str = "best so far "
) -> str:
    """Return the reason of a verdict: ``passed band 9: best so far 0.4200 <= cut-off 0.5000 (the median of 6 runs)``.

    Args:
        goal: ``"minimize"`` or ``"maximize"``.
        stop: Whether the run stops.
        band: The band.
        value: The run's value.
        limit: The cut-off.
        origin: Where the cut-off comes from.
        what: What the value is.
    """
    shown, shown_limit = distinct(value, limit)
    worse, better = (">", "<=") if goal == "minimize" else ("<", ">=")
    sign = worse if stop else better
    return f"{'stopped at' if stop else 'passed'} band {band}: {what}{shown} {sign} cut-off {shown_limit} ({origin})"


def brief(reason: str) -> str:
    """Return the reason of a stop in a few words; other reasons unchanged.

    For example ``stopped at 9: 0.814 (cut-off 0.822)``, or ``stopped at 9: 0.814 (chance of 0.3 % to beat 0.25)``.
    """
    if found := _STOPPED.match(reason):
        band, value, limit, chance = found.groups()
        return f"stopped at {band}: {value} ({f'cut-off {limit}' if limit else chance}){reason[found.end() :]}"
    return reason


_STOPPED = re.compile(
    r"stopped at band (\d+): (?:best so far )?(\S+?),? (?:[<>] cut-off (\S+)|(chance of .+?)) \([^(]*?\)(?=$|; breaks )"
)
_MOST_INSERTED = 16


class Bands:
    """The bands of a rule, made as far as they are needed. Safe from several threads."""

    def __init__(self, ascending: Iterator[int]) -> None:
        self._lock = threading.RLock()
        self._ascending = ascending
        self._bands: list[int] = []

    def after(self, iteration: int) -> int | None:
        """Return the first band after the iteration; ``None`` if there is none."""
        with self._lock:
            while not self._bands or self._bands[-1] <= iteration:
                if (band := next(self._ascending, None)) is None:
                    return None
                self._bands.append(band)
            return self._bands[bisect(self._bands, iteration)]

    def reached(self, iterations: int) -> int | None:
        """Return the highest band that is not above ``iterations``; ``None`` below the first."""
        with self._lock:
            self.after(iterations)  # so that the bands up to there are known
            place = bisect(self._bands, iterations)
            return self._bands[place - 1] if place else None


class BandValues(Bands):
    """The values of all runs at the bands. Safe from several threads.

    A value at a band never changes, so each is noted once: from the agent's memory for its own runs, from the storage
    for the others. The lock is held for work in memory only, so no report waits for the storage.
    """

    def __init__(self, hyperband: Hyperband, goal: str) -> None:
        super().__init__(hyperband.ascending())
        self.hyperband = hyperband
        self.goal = goal
        self._noted: dict[str, int] = {}
        self._values: dict[int, list[float]] = {}
        self._unsorted: dict[int, list[float]] = {}
        self._best: dict[str, float] = {}
        self._better = min if goal == "minimize" else max

    def note(self, run: str, history: Sequence[float]) -> None:
        """Note the finite values of a run, in order; values noted before are skipped."""
        with self._lock:
            start, count = self._noted.get(run, 0), len(history)
            if count <= start:
                return
            best = self._better(history[start:])
            self._best[run] = self._better(best, self._best.get(run, best))
            band = self.after(start)
            while band is not None and band <= count:
                self._unsorted.setdefault(band, []).append(history[band - 1])
                band = self.after(band)
            self._noted[run] = count

    def judge(self, run: str, history: Sequence[float]) -> Verdict:
        """Note the finite values of a run, in order, and judge it; only values not noted before are visited."""
        iterations = len(history)
        with self._lock:
            band = self.reached(iterations)
            self.note(run, history)
            value = 0.0 if band is None else history[band - 1] if self.hyperband.strict else self._best[run]
            values = self._sorted(band) if band else []
            return verdict(self.hyperband, self.goal, iterations, band, value, values, ascending=True)

    def _sorted(self, band: int) -> list[float]:
        """Return the values at a band in ascending order; the first look at a sweep may find very many."""
        values, new = self._values.setdefault(band, []), self._unsorted.pop(band, [])
        if len(new) > _MOST_INSERTED:
            values += new
            values.sort()
        else:
            for value in new:
                insort(values, value)
        return values

    def replace(self, run: str, history: Sequence[float]) -> None:
        """Do nothing: a value at a band never changes."""

    def end(self, run: str) -> None:
        """Take no notice of a run that has trained to its end: only the values at bands count."""

    def exclude(self, run: str) -> None:
        """Take no notice of a run that is never the best: all values at bands count."""

    def behind(self, run: str, iterations: int) -> bool:
        """Return whether some of the run's first ``iterations`` values have not been noted."""
        return self._noted.get(run, 0) < iterations


def _sign(goal: str) -> int:
    """Return 1 if smaller is better, -1 if greater is."""
    if goal not in ("minimize", "maximize"):
        raise ValueError(f"goal must be minimize or maximize, not {goal!r}")
    return 1 if goal == "minimize" else -1


def _place(count: int, eta: float) -> int:
    """Return the index of the threshold among ``count`` sorted values; below ``count`` even if eta is just above 1."""
    return int(count / eta)


def distinct(value: float, other: float) -> tuple[str, str]:
    """Return both numbers with as many digits as are needed to tell them apart, four at least."""
    for digits in range(4, 18):
        texts = f"{value:#.{digits}g}", f"{other:#.{digits}g}"
        if value == other or texts[0] != texts[1]:
            break
    return texts
