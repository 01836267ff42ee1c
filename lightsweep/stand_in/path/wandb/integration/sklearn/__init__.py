"""Plots of scikit-learn, which are accepted and not drawn."""

from functools import partial

from lightsweep.wandb.sdk import sklearn

__getattr__ = partial(getattr, sklearn)
