"""Sweep files: read, validate and explain them."""

from lightsweep.schema.config import SweepConfig
from lightsweep.schema.explanation import explain
from lightsweep.schema.jsonschema import json_schema
from lightsweep.schema.sections import Metric, Options, Scheduler, find_sampler

__all__ = ["Metric", "Options", "Scheduler", "SweepConfig", "explain", "find_sampler", "json_schema"]
