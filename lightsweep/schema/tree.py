"""From YAML nodes to plain values, keeping the nodes so that every value can be found in its file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from lightsweep.schema.faults import Faults, Path
from lightsweep.schema.loader import SCALAR_TAGS, SweepLoader

__all__ = ["Tree"]

MAP, SEQ, MERGE = (f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "merge"))
MAX_DEPTH = 100
MAX_VALUES = 1_000_000  # aliases of aliases grow exponentially


class Tree:
    """One composed YAML document: its values, and where they stand.

    Args:
        loader: The loader that composed ``root``; it constructs the scalars.
        root: The top node.
    """

    def __init__(self, loader: SweepLoader, root: yaml.Node) -> None:
        self._loader = loader
        self._root = root
        self._done: dict[int, tuple[Any, int]] = {}  # node -> its value and how many values that holds
        self._open: set[int] = set()
        self._keys: dict[int, dict[str, tuple[yaml.Node, yaml.Node]]] = {}  # mapping node -> key -> key and value node
        self._duplicates = dict(_duplicates(root))  # found before merge keys are filled in, which repeats keys

    def place(self, path: Path, *, key: bool) -> tuple[int, int] | None:
        """See ``Locator``. A block is named by its key, since that is the line that people look for."""
        node, key_node = self._root, None
        for depth, part in enumerate(path):
            step = self._step(node, part)
            if step is None:
                break
            key_node, node = step
            if depth == len(path) - 1 and key and key_node is not None:
                return _position(key_node)
        empty = node.start_mark.index == node.end_mark.index
        block = not isinstance(node, yaml.ScalarNode) or empty
        return _position(key_node if block and key_node is not None else node)

    def _step(self, node: yaml.Node, part: str | int) -> tuple[yaml.Node | None, yaml.Node] | None:
        if isinstance(part, str):
            return self._keys.get(id(node), {}).get(part)
        if isinstance(node, yaml.SequenceNode) and part < len(node.value):
            return None, node.value[part]
        return None

    def value(self, faults: Faults) -> Any:
        """The plain value of the document; mistakes go to ``faults``."""
        return self._value(self._root, (), faults)[0]

    def _value(self, node: yaml.Node, path: Path, faults: Faults) -> tuple[Any, int]:
        if id(node) in self._done:
            return self._done[id(node)]
        if id(node) in self._open or len(path) > MAX_DEPTH:
            what = "holds itself" if id(node) in self._open else f"is nested deeper than {MAX_DEPTH} levels"
            faults.error(path, f"this value {what}")
            return None, 1
        self._open.add(id(node))
        result: tuple[Any, int]
        if isinstance(node, yaml.MappingNode) and node.tag == MAP:
            result = self._mapping(node, path, faults)
        elif isinstance(node, yaml.SequenceNode) and node.tag == SEQ:
            items = [self._value(item, (*path, index), faults) for index, item in enumerate(node.value)]
            result = [item for item, _ in items], 1 + sum(size for _, size in items)
        else:
            result = self._scalar(node, path, faults), 1
        if result[1] > MAX_VALUES:
            faults.error(path, f"this value holds more than {MAX_VALUES:,} values once its aliases are filled in")
            result = None, 1
        self._open.discard(id(node))
        self._done[id(node)] = result
        return result

    def _scalar(self, node: yaml.Node, path: Path, faults: Faults) -> Any:
        line, column = _position(node)
        if not isinstance(node, yaml.ScalarNode) or node.tag not in SCALAR_TAGS:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            faults.error(
                path, f"the tag {tag} at line {line}, column {column} is not supported: a sweep file holds plain values"
            )
            return None
        try:
            return self._loader.construct_object(node)
        except (ValueError, LookupError, ArithmeticError, yaml.YAMLError):  # what PyYAML raises for !!int '' and others
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            faults.error(path, f"{_short(node.value)} at line {line}, column {column} cannot be read as {tag}")
            return None

    def _mapping(self, node: yaml.MappingNode, path: Path, faults: Faults) -> tuple[dict[Any, Any], int]:
        known: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        self._keys[id(node)] = known
        try:
            self._loader.flatten_mapping(node)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            at = f" at line {mark.line + 1}" if mark else ""
            faults.error(path, f"the merge key << does not work{at}: {error.problem}")
            return {}, 1
        nodes: dict[Any, tuple[yaml.Node, yaml.Node]] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                line, column = _position(key_node)
                what = f"the key at line {line}, column {column}"
                faults.error(path, f"{what} is a list or a mapping; a key must be text")
                continue
            key = self._scalar(key_node, path, faults)
            nodes.pop(key, None)  # the one that counts stands where it was written
            nodes[key] = known[str(key)] = (key_node, value_node)
        node.value = list(nodes.values())  # so that merging merged mappings does not grow exponentially
        for name, message in self._duplicates.get(id(node), ()):
            faults.warn((*path, name), message, key=True)
        found = {key: self._value(item, (*path, str(key)), faults) for key, (_, item) in nodes.items()}
        return {key: value for key, (value, _) in found.items()}, 1 + sum(size for _, size in found.values())


def _duplicates(root: yaml.Node) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """For every mapping node below ``root`` its id and the keys that stand twice in it, each with a message."""
    waiting, seen = [root], {id(root)}
    while waiting:
        node = waiting.pop()
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            yield id(node), _repeated(node)
            inner = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            inner = node.value
        waiting += [part for part in inner if id(part) not in seen]
        seen.update(id(part) for part in inner)


def _repeated(node: yaml.MappingNode) -> list[tuple[str, str]]:
    found = []
    lines: dict[tuple[str, str], int] = {}
    for key_node, _ in node.value:
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == MERGE:
            continue
        line = _position(key_node)[0]
        name = (key_node.tag, key_node.value)
        if name in lines:
            both = f"it stands at line {lines[name]} and at line {line}"
            found.append((key_node.value, f"duplicate key {key_node.value!r}: {both}; the one at line {line} counts"))
        lines[name] = line
    return found


def _position(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
