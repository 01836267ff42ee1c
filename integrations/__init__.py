"""Callbacks and helpers for trainers; each module needs only its own library."""
