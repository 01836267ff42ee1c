"""Hugging Face's Trainer in a sweep: a callback, arguments from the run's config, and whole sweeps of Trainers.

Works with transformers from 4.46.
"""

from __future__ import annotations

from lightsweep.integrations.hf_arguments import ALIASES, training_arguments
from lightsweep.integrations.hf_callback import MetricMissingError, SweepCallback
from lightsweep.integrations.hf_sweep import run_sweep

__all__ = ["ALIASES", "MetricMissingError", "SweepCallback", "run_sweep", "training_arguments"]
