"""The errors that scripts catch."""

from functools import partial

from lightsweep import errors

__getattr__ = partial(getattr, errors)
