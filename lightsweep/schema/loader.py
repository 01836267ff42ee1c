"""The YAML loader of sweep files: PyYAML's safe one, reading ``1e-5`` as a number and a date as the text written."""

from __future__ import annotations

import re

import yaml

__all__ = ["SCALAR_TAGS", "SweepLoader"]

PREFIX = "tag:yaml.org,2002:"
SCALAR_TAGS = frozenset(PREFIX + name for name in ("str", "int", "float", "bool", "null", "timestamp", "value"))

# YAML 1.1 wants a dot and a signed exponent; people write 1e-5, 3e6 and 1.0E5 and mean numbers.
EXPONENT = re.compile(r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)[eE][-+]?[0-9]+$")


class SweepLoader(yaml.SafeLoader):
    """PyYAML's safe loader with the numbers that people write."""

    def construct_text(self, node: yaml.Node) -> str:
        """The text of a scalar as it stands in the file."""
        return str(self.construct_scalar(node)) if isinstance(node, yaml.ScalarNode) else ""


SweepLoader.add_implicit_resolver(PREFIX + "float", EXPONENT, list("-+.0123456789"))
SweepLoader.add_constructor(PREFIX + "timestamp", SweepLoader.construct_text)
SweepLoader.add_constructor(PREFIX + "value", SweepLoader.construct_text)
