"""Parameters of a sweep: their distributions, the grid, the unit cube and the nested config."""

from lightsweep.space.base import Distribution, Scale, Traits, Value, identity
from lightsweep.space.continuous import Beta, Continuous, InvLogUniform, LogNormal, LogUniform, Normal, Uniform
from lightsweep.space.discrete import Categorical, Constant, IntUniform, Quantized
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
    "Scale",
    "Space",
    "Traits",
    "Uniform",
    "Value",
    "identity",
]
