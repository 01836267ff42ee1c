"""Parameters of a sweep: their distributions, the grid, the unit cube and the nested config."""

from lightsweep.space.base import Distribution, Scale, Value, identity
from lightsweep.space.discrete import Constant
from lightsweep.space.space import Parameter, Space

__all__ = ["Constant", "Distribution", "Parameter", "Scale", "Space", "Value", "identity"]
