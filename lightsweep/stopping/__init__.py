"""Rules that stop runs early, beside W&B's hyperband: ``lightsweep: {stopping: ...}``.

A rule is judged at *looks*: numbers of iterations, as the bands of `lightsweep.hyperband`. Unlike there, a run counts
with its best value so far, since that is what it ends with. A rule has ``ascending()``, ``first(count)``,
``bands(upto)`` and ``reached(iterations)``, as `Hyperband` has. `Curves` keeps what a rule needs of all runs, and has
the methods of `BandValues`, and ``end(run)`` for a run that has trained to its end; it takes a rule of this room only.
"""

from lightsweep.stopping.curves import Curves
from lightsweep.stopping.rules import Expected, Halving, Median, Progress, Rule

__all__ = ["Curves", "Expected", "Halving", "Median", "Progress", "Rule"]
