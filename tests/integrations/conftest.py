"""Keras reads its backend when it is imported."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "torch"
