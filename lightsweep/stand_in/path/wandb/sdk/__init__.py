"""The classes that scripts name in annotations, and the modules that they import them from."""

import sys
from functools import partial

from lightsweep.wandb import sdk

sys.modules.update({f"wandb.sdk.{name}": module for name, module in sdk.MODULES.items()})

__getattr__ = partial(getattr, sdk)
