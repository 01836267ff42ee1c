"""``stop_when``: the conditions under which a sweep starts no further run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from lightsweep.schema import fields
from lightsweep.schema.diagnostics import Faults
from lightsweep.text import counted, number

MODEL_PARAMETERS = 20
"""The most searched parameters for which sampler auto is a Gaussian process."""

_Positive = Annotated[float, fields.number(above=0)]


@dataclass(frozen=True, kw_only=True)
class StopWhen:
    """The sweep starts no further run once one of these holds; running runs end normally.

    Attributes:
        no_better_in: This many runs have ended since the last new best, or with several metrics since the last one that
            entered the Pareto front.
        expected_gain: The model expects less improvement from a further run, in units of the metric; bayes only.
        hours: This many hours have passed since the first run started; pauses count.
        epochs: All runs together have this many iterations.
    """

    no_better_in: fields.Natural | None = None
    expected_gain: _Positive | None = None
    hours: _Positive | None = None
    epochs: fields.Natural | None = None

    def texts(self, *, several: bool = False) -> list[str]:
        """Return the conditions in words: ``30 runs without a new best``; ``several`` metrics have a Pareto front."""
        found = [
            _no_better(self.no_better_in, several) if self.no_better_in is not None else "",
            f"an expected gain below {number(self.expected_gain)}" if self.expected_gain is not None else "",
            f"{number(self.hours)} hour{'' if self.hours == 1 else 's'}" if self.hours is not None else "",
            f"{counted(self.epochs, 'iteration')} of all runs" if self.epochs is not None else "",
        ]
        return [text for text in found if text]


def _no_better(runs: int, several: bool) -> str:
    return f"{counted(runs, 'run')} without a new {'one on the Pareto front' if several else 'best'}"


def read_stop_when(value: Any, raw: Mapping[str, Any], sampler: str, searched: int, faults: Faults) -> StopWhen | None:
    """Return the block ``stop_when``; ``None`` if there is none, or if it is wrong, which is then noted.

    Args:
        value: The block as written.
        raw: The whole config.
        sampler: The sampler of method bayes.
        searched: The number of searched parameters.
        faults: Takes the mistakes.
    """
    at = faults.at("lightsweep", "stop_when")
    block = None if value is None else fields.check(StopWhen, value, at, "stop_when")
    if block is None:
        return None
    given = fields.given(vars(block))
    if not given:
        at.key_error(f"stop_when has no condition; give one of {', '.join(vars(block))}")
    for key in {"no_better_in", "expected_gain"} & given.keys():
        if raw.get("metric") is None and raw.get("metrics") is None:
            at[key].key_error(f"{key} needs the key 'metric' with the name that the training script logs")
    runs, cap = block.no_better_in, raw.get("run_cap")
    if runs is not None and isinstance(cap, int) and cap <= runs:
        several = raw.get("metrics") is not None
        at["no_better_in"].key_warning(f"run_cap {cap} ends the sweep before {_no_better(runs, several)}")
    if "expected_gain" in given:
        if raw.get("method") != "bayes" or raw.get("metric") is None or sampler not in ("auto", "gp"):
            at["expected_gain"].key_error(
                "expected_gain needs the Gaussian process: method bayes, one metric, sampler auto or gp; "
                "use no_better_in instead"
            )
        elif sampler == "auto" and searched > MODEL_PARAMETERS:
            at["expected_gain"].key_error(
                f"expected_gain needs the Gaussian process, and sampler auto is TPE with more than {MODEL_PARAMETERS} "
                f"parameters; this sweep searches {searched}; write sampler: gp, or use no_better_in"
            )
    return block
