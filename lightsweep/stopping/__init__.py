"""Rules that stop runs early, beside W&B's hyperband: ``lightsweep: {stopping: ...}``.

A rule is judged at bands, as `lightsweep.hyperband` does, and follows the protocol `Rule` there. Unlike there, a run
counts with its best value so far, since that is what it ends with. `Curves` keeps what a rule needs of all runs.
"""

from lightsweep.stopping.curves import Curves, Progress
from lightsweep.stopping.expected import Expected, StoppedEnd, ended_curve, stopped_ends
from lightsweep.stopping.rules import Halving, Median, Rule

__all__ = [
    "Curves",
    "Expected",
    "Halving",
    "Median",
    "Progress",
    "Rule",
    "StoppedEnd",
    "ended_curve",
    "stopped_ends",
]
