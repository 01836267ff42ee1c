"""Read a sweep file: from a path to plain values and their places, or one ``ConfigError``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import ReaderError

from lightsweep.errors import ConfigError, Fault, closest
from lightsweep.schema.diagnostics import MAX_DEPTH, Faults, KeyPath, Spot
from lightsweep.text import quoted

PREFIX = "tag:yaml.org,2002:"
SCALAR_TAGS = frozenset(PREFIX + name for name in ("str", "int", "float", "bool", "null", "timestamp", "value"))

# YAML 1.1 needs a dot and a signed exponent in a number; people write 1e-5, 3e6 and 1.0E5.
EXPONENT = re.compile(r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)[eE][-+]?[0-9]+$")


class TooLargeError(yaml.MarkedYAMLError):
    """A document beyond a bound; ``problem`` says which."""


class SweepLoader(yaml.SafeLoader):
    """PyYAML's safe loader, with more forms of numbers and a bound on nesting."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Return the next node; ``TooLargeError`` if it is nested too deeply, before anything below it is read."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            problem = f"this value is nested deeper than {MAX_DEPTH} levels"
            raise TooLargeError(problem=problem, problem_mark=parent.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_text(self, node: yaml.Node) -> str:
        """Return the text of a scalar as it is written in the file."""
        return str(self.construct_scalar(node)) if isinstance(node, yaml.ScalarNode) else ""


SweepLoader.add_implicit_resolver(PREFIX + "float", EXPONENT, list("-+.0123456789"))
SweepLoader.add_constructor(PREFIX + "timestamp", SweepLoader.construct_text)
SweepLoader.add_constructor(PREFIX + "value", SweepLoader.construct_text)


MAP, SEQ, MERGE = (PREFIX + name for name in ("map", "seq", "merge"))
MAX_VALUES = 1_000_000  # aliases of aliases grow exponentially
MAX_BYTES = 1_000_000

Pairs = list[tuple[yaml.Node, yaml.Node]]


class Tree:
    """One composed YAML document: its values, and their places.

    Args:
        loader: The loader that composed ``root``; it constructs the scalars.
        root: The top node.
    """

    def __init__(self, loader: SweepLoader, root: yaml.Node) -> None:
        self._loader = loader
        self._root = root
        self._merged = 0
        self._done: dict[int, tuple[Any, int]] = {}  # node -> its value and how many values that holds
        self._open: set[int] = set()
        self._keys: dict[int, dict[str, tuple[yaml.Node, yaml.Node]]] = {}  # mapping node -> key -> key and value node

    def place(self, path: KeyPath, key: bool) -> tuple[int, int] | None:
        """Return line and column; see ``Locate``. A block is named by its key, the line that people look for."""
        node, key_node = self._root, None
        for part in path:
            if isinstance(part, str) and part in self._keys.get(id(node), {}):
                key_node, node = self._keys[id(node)][part]
            elif isinstance(part, int) and isinstance(node, yaml.SequenceNode) and part < len(node.value):
                key_node, node = None, node.value[part]
            else:  # absent: the place of its parent
                key = False
                break
        block = not isinstance(node, yaml.ScalarNode) or node.start_mark.index == node.end_mark.index
        return _position(key_node if key_node is not None and (key or block) else node)

    def value(self, at: Spot) -> Any:
        """Return the plain value of the document; mistakes are noted, and ``TooLargeError`` is raised."""
        return self._value(self._root, at)[0]

    def _value(self, node: yaml.Node, at: Spot) -> tuple[Any, int]:
        if id(node) in self._done:
            return self._done[id(node)]
        if id(node) in self._open:
            return at.error("this value contains itself"), 1
        self._open.add(id(node))
        result: tuple[Any, int]
        if isinstance(node, yaml.MappingNode) and node.tag == MAP:
            result = self._mapping(node, at)
        elif isinstance(node, yaml.SequenceNode) and node.tag == SEQ:
            items = [self._value(item, at[index]) for index, item in enumerate(node.value)]
            result = [item for item, _ in items], 1 + sum(size for _, size in items)
        else:
            result = self._scalar(node, at), 1
        if result[1] > MAX_VALUES:
            result = at.error(f"this value holds more than {MAX_VALUES:,} values once its aliases are filled in"), 1
        self._open.discard(id(node))
        self._done[id(node)] = result
        return result

    def _scalar(self, node: yaml.Node, at: Spot) -> Any:
        tag = node.tag.replace(PREFIX, "!!")
        where = "at line {}, column {}".format(*_position(node))
        if not isinstance(node, yaml.ScalarNode) or node.tag not in SCALAR_TAGS:
            return at.error(f"the tag {tag} {where} is not supported: a sweep file has plain values only")
        try:
            return self._loader.construct_object(node)
        except (ValueError, LookupError, ArithmeticError, yaml.YAMLError):  # what PyYAML raises for !!int '' and others
            return at.error(f"{quoted(node.value, 60)} {where} cannot be read as {tag}")

    def _mapping(self, node: yaml.MappingNode, at: Spot) -> tuple[dict[Any, Any], int]:
        known = self._keys[id(node)] = {}
        duplicates = _duplicates(node)  # before merge keys are filled in, which repeats keys
        nodes: dict[Any, tuple[yaml.Node, yaml.Node]] = {}
        for key_node, value_node in self._pairs(node, at):
            if not isinstance(key_node, yaml.ScalarNode):
                where = "at line {}, column {}".format(*_position(key_node))
                at.error(f"the key {where} is a list or a mapping; a key must be text")
                continue
            key = self._scalar(key_node, at)
            nodes.pop(key, None)  # the last one counts, also for the order
            nodes[key] = known[str(key)] = (key_node, value_node)
        node.value = list(nodes.values())  # so that merging merged mappings does not grow exponentially
        for name, lines in duplicates:
            first, last = lines
            at[name].key_warning(f"duplicate key {name!r} at lines {first} and {last}; the one at line {last} counts")
        found = {key: self._value(item, at[str(key)]) for key, (_, item) in nodes.items()}
        return {key: value for key, (value, _) in found.items()}, 1 + sum(size for _, size in found.values())

    def _pairs(self, node: yaml.MappingNode, at: Spot) -> Pairs:
        """The keys and values of a mapping, those of its merge keys first.

        Raises:
            TooLargeError: The merge keys of the file add too much.
        """
        merged: Pairs = []
        own = [(key, value) for key, value in node.value if key.tag != MERGE]
        for key_node, value_node in node.value:
            if key_node.tag != MERGE:
                continue
            several = isinstance(value_node, yaml.SequenceNode)
            for source in reversed(value_node.value) if several else [value_node]:  # of several the first wins
                if not isinstance(source, yaml.MappingNode):
                    at.error(f"the merge key << does not work at line {_position(source)[0]}: it takes mappings only")
                    continue
                added = self._pairs(source, at)
                self._merged += len(added)
                if self._merged > MAX_VALUES:
                    problem = f"the merge keys << of the file add more than {MAX_VALUES:,} values"
                    raise TooLargeError(problem=problem, problem_mark=key_node.start_mark)
                merged += added
        return merged + own


def _duplicates(node: yaml.MappingNode) -> list[tuple[str, tuple[int, int]]]:
    """The keys that a mapping has twice, each with the lines of the two."""
    found = []
    lines: dict[tuple[str, str], int] = {}
    for key_node, _ in node.value:
        if isinstance(key_node, yaml.ScalarNode) and key_node.tag != MERGE:
            line, name = _position(key_node)[0], (key_node.tag, key_node.value)
            if name in lines:
                found.append((key_node.value, (lines[name], line)))
            lines[name] = line
    return found


def _position(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def read_file(
    path: Path, what: str = "a sweep config", keys: str = "method and parameters"
) -> tuple[dict[Any, Any], Faults]:
    """Return the mapping in the YAML file ``path``, and the faults found so far, which know its lines.

    UTF-8 with or without a byte order mark, with any line ends. Aliases and merge keys are filled in; of a duplicate
    key the last counts, with a warning.

    Args:
        path: The file.
        what: The name of its content in a message.
        keys: Some of its keys.

    Raises:
        ConfigError: The file cannot be read, is too large, is not UTF-8, does not parse, is empty, or is not a mapping.
    """
    name = str(path)
    text = _text(path, name)
    try:
        loader = SweepLoader(text)
        root = loader.get_single_node()
        if root is None:
            raise _refusal(f"the file is empty; {what} needs keys such as {keys}", name)
        tree = Tree(loader, root)
        faults = Faults(name, tree.place)
        value = tree.value(faults.at())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = str(error.problem) if isinstance(error, TooLargeError) else _parse_message(error, text)
        raise _refusal(message, name, *((mark.line + 1, mark.column + 1) if mark else ())) from None
    except ReaderError as error:
        code = error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")
        line = text.count("\n", 0, error.position) + 1
        raise _refusal(f"the character U+{code:04X} is not allowed in YAML", name, line) from None
    if not isinstance(value, dict):
        faults.raise_if_any()
        kind = {list: "a list", type(None): "nothing"}.get(type(value), f"the {type(value).__name__} {value!r}"[:80])
        message = f"{what} is a mapping of keys such as {keys}, and this is {kind}"
        raise _refusal(message, name, *_position(root))
    return value, faults


def _refusal(message: str, name: str, line: int | None = None, column: int | None = None) -> ConfigError:
    return ConfigError([Fault(message, file=name, line=line, column=column)])


def _text(path: Path, name: str) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        beside = [other.name for other in path.parent.glob("*.y*ml")]
        raise _refusal(f"no such file{closest(path.name, beside)}", name) from None
    except IsADirectoryError:
        raise _refusal("this is a directory; give the path of a YAML file", name) from None
    except (OSError, ValueError) as error:
        raise _refusal(f"the file cannot be read: {getattr(error, 'strerror', None) or error}", name) from None
    if path.suffix == ".py":
        raise _refusal("this is a Python script; give the sweep file that names it as its program", name)
    if len(data) > MAX_BYTES:
        size = f"the file has {len(data):,} bytes, and a sweep file has at most {MAX_BYTES:,}"
        raise _refusal(f"{size}; keep data in a separate file, and pass its path as a parameter", name)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"the file is not UTF-8 text: byte 0x{data[error.start]:02x}; save it as UTF-8"
        raise _refusal(message, name, data.count(b"\n", 0, error.start) + 1) from None


def _parse_message(error: yaml.MarkedYAMLError, text: str) -> str:
    mark, begin = error.problem_mark or error.context_mark, error.context_mark
    problem = error.problem or "the text does not follow the rules of YAML"
    context = f"{error.context}, " if error.context else ""
    if begin and mark and begin.line != mark.line:
        context = f"{error.context} that begins at line {begin.line + 1}, "
    hint = ""
    if "'\\t'" in problem:
        hint = "; indent with spaces, not with tabs"
    elif "mapping values are not allowed" in problem:
        hint = "; check the indentation, and put quotes around a text with a colon"
    elif "but found another document" in problem:
        hint = "; one file holds one sweep, so split it at ---"
    elif "expected <block end>" in problem:
        problem = "this line is indented differently from those beside it"
        context = f"in the block that begins at line {begin.line + 1}, " if begin else ""
    lines = text.splitlines()
    reads = f"; the line reads {quoted(lines[mark.line], 60)}" if mark and mark.line < len(lines) else ""
    return f"this is not valid YAML: {context}{problem}{hint}{reads}"
