"""What a sweep file says: read it, validate it, explain it."""

from lightsweep.schema.config import SweepConfig
from lightsweep.schema.explanation import explain
from lightsweep.schema.jsonschema import json_schema
from lightsweep.schema.sections import Metric, Options, Scheduler, find_sampler
from lightsweep.schema.stages import Stage

__all__ = [
    "Metric",
    "Options",
    "Scheduler",
    "Stage",
    "SweepConfig",
    "explain",
    "find_sampler",
    "json_schema",
]
