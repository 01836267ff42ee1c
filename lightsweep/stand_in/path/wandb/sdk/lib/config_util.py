"""The error of a config that refuses a change."""

from lightsweep.errors import UsageError as ConfigError

__all__ = ["ConfigError"]
