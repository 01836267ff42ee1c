"""The curves of all runs at the looks of a rule, and the verdicts that follow."""

from __future__ import annotations

import threading
from bisect import bisect
from collections.abc import Sequence

from lightsweep.hyperband import Verdict
from lightsweep.stopping.rules import Expected, Halving, Median, Progress, Rule
from lightsweep.text import counted

# The scale of predictions is found again when the sweep has this many times as many looks.
SCALED_AGAIN = 1.1


class Curves:
    """The best values so far of all runs at the looks. Safe from several threads.

    Args:
        rule: The rule, of this room.
        goal: ``"minimize"`` or ``"maximize"``.
    """

    def __init__(self, rule: Rule, goal: str) -> None:
        self.rule = rule
        self.goal = goal
        self._lock = threading.RLock()
        self._runs: dict[str, Progress] = {}
        self._better = min if goal == "minimize" else max
        self._ascending = rule.ascending()
        self._looks: list[int] = []
        self._scaled_at, self._scale = 0, 1.0

    def after(self, iteration: int) -> int | None:
        """Return the first look after the iteration; ``None`` if there is none."""
        with self._lock:
            while not self._looks or self._looks[-1] <= iteration:
                if (look := next(self._ascending, None)) is None:
                    return None
                self._looks.append(look)
            return self._looks[bisect(self._looks, iteration)]

    def reached(self, iterations: int) -> int | None:
        """Return the highest look that is not above ``iterations``; ``None`` below the first."""
        with self._lock:
            self.after(iterations)  # so that the looks up to there are known
            place = bisect(self._looks, iterations)
            return self._looks[place - 1] if place else None

    def note(self, run: str, history: Sequence[float]) -> None:
        """Note the finite values of a run, in order; values noted before are skipped."""
        with self._lock:
            count = len(history)
            if not count:
                return
            known = self._runs.get(run)
            if known is None:
                known = self._runs[run] = Progress([], history[0], 0)
            start = known.iterations
            look = self.after(start)
            while look is not None and look <= count:
                known.best = self._better(known.best, self._better(history[start:look]))
                known.at.append(known.best)
                start, look = look, self.after(look)
            if start < count:
                known.best = self._better(known.best, self._better(history[start:count]))
            known.iterations = max(known.iterations, count)

    def end(self, run: str) -> None:
        """Note that a run has trained to its end: finished, neither stopped nor failed."""
        with self._lock:
            if run in self._runs:
                self._runs[run].ended = True

    def behind(self, run: str, iterations: int) -> bool:
        """Return whether some of the run's first ``iterations`` values have not been noted."""
        known = self._runs.get(run)
        return (known.iterations if known else 0) < iterations

    def judge(self, run: str, history: Sequence[float]) -> Verdict:
        """Note the finite values of a run, in order, and judge it if it has just reached a look."""
        with self._lock:
            self.note(run, history)
            iterations = len(history)
            look = self.reached(iterations)
            if look is None:
                return Verdict(False, f"no look reached after {counted(iterations, 'iteration')}")
            if look != iterations:
                return Verdict(False, f"judged at {look}, and next at {self.after(iterations)}")
            return self._verdict(run, look)

    def _verdict(self, run: str, look: int) -> Verdict:
        own = self._runs[run]
        others = [one for name, one in self._runs.items() if name != run]
        if isinstance(self.rule, Expected):
            from lightsweep.stopping.expected import Model, expected  # with numpy, which nothing else here needs

            looks = sum(len(one.at) for one in self._runs.values())
            if others and looks > SCALED_AGAIN * self._scaled_at:
                self._scaled_at, self._scale = looks, Model(self.goal, others).scale(others)
            return expected(self.rule, self.goal, look, own, others, self._scale)
        assert isinstance(self.rule, Halving | Median)
        place = len(own.at) - 1
        at = [one.at[place] for one in others if len(one.at) > place]
        return self.rule.verdict(self.goal, look, own.at[place], at)
