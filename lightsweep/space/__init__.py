"""Parameters of a sweep: their distributions, the grid, the unit cube and the nested config."""

from lightsweep.space.base import Distribution, Value
from lightsweep.space.continuous import Beta, Continuous, LogNormal, Normal, Uniform
from lightsweep.space.discrete import Categorical, Constant, IntUniform
from lightsweep.space.identity import identity
from lightsweep.space.logarithmic import InvLogUniform, LogUniform
from lightsweep.space.quantized import Quantized
from lightsweep.space.space import Parameter, Space

__all__ = [
    "Beta",
    "Categorical",
    "Constant",
    "Continuous",
    "Distribution",
    "IntUniform",
    "InvLogUniform",
    "LogNormal",
    "LogUniform",
    "Normal",
    "Parameter",
    "Quantized",
    "Space",
    "Uniform",
    "Value",
    "identity",
]
