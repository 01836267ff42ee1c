"""``lightsweep schema``: the JSON Schema of a sweep file."""

from __future__ import annotations

import json

__all__ = ["schema"]


def schema() -> None:
    """Print a JSON Schema, so that editors complete and check sweep files."""
    from lightsweep.schema import json_schema

    print(json.dumps(json_schema(), indent=2))
