"""Reading a sweep file: from a path to plain values and their places, or one clear ``ConfigError``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import ReaderError

from lightsweep.errors import ConfigError, Fault
from lightsweep.schema.diagnostics import Faults, KeyPath

__all__ = ["MAX_DEPTH", "SCALAR_TAGS", "SweepLoader", "TooLargeError", "Tree", "read_file"]

MAX_DEPTH = 100

PREFIX = "tag:yaml.org,2002:"
SCALAR_TAGS = frozenset(PREFIX + name for name in ("str", "int", "float", "bool", "null", "timestamp", "value"))

# YAML 1.1 wants a dot and a signed exponent; people write 1e-5, 3e6 and 1.0E5 and mean numbers.
EXPONENT = re.compile(r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)[eE][-+]?[0-9]+$")


class TooLargeError(yaml.MarkedYAMLError):
    """A document beyond a bound; ``problem`` says which."""


class SweepLoader(yaml.SafeLoader):
    """PyYAML's safe loader with the numbers that people write, and with a bound on nesting."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """The next node; ``TooLargeError`` if it is nested too deeply, before anything below it is read."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            problem = f"this value is nested deeper than {MAX_DEPTH} levels"
            raise TooLargeError(problem=problem, problem_mark=parent.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_text(self, node: yaml.Node) -> str:
        """The text of a scalar as it stands in the file."""
        return str(self.construct_scalar(node)) if isinstance(node, yaml.ScalarNode) else ""


SweepLoader.add_implicit_resolver(PREFIX + "float", EXPONENT, list("-+.0123456789"))
SweepLoader.add_constructor(PREFIX + "timestamp", SweepLoader.construct_text)
SweepLoader.add_constructor(PREFIX + "value", SweepLoader.construct_text)


MAP, SEQ, MERGE = (f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "merge"))
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
        self._merged = 0
        self._done: dict[int, tuple[Any, int]] = {}  # node -> its value and how many values that holds
        self._open: set[int] = set()
        self._keys: dict[int, dict[str, tuple[yaml.Node, yaml.Node]]] = {}  # mapping node -> key -> key and value node
        self._duplicates = dict(_duplicates(root))  # found before merge keys are filled in, which repeats keys

    def place(self, path: KeyPath, *, key: bool) -> tuple[int, int] | None:
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
        """The plain value of the document; mistakes go to ``faults``, and ``TooLargeError`` is raised."""
        return self._value(self._root, (), faults)[0]

    def _value(self, node: yaml.Node, path: KeyPath, faults: Faults) -> tuple[Any, int]:
        if id(node) in self._done:
            return self._done[id(node)]
        if id(node) in self._open:
            faults.error(path, "this value holds itself")
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

    def _scalar(self, node: yaml.Node, path: KeyPath, faults: Faults) -> Any:
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

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, faults: Faults) -> tuple[dict[Any, Any], int]:
        known: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        self._keys[id(node)] = known
        try:
            pairs = self._pairs(node)
        except TooLargeError:
            raise
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            at = f" at line {mark.line + 1}" if mark else ""
            faults.error(path, f"the merge key << does not work{at}: {error.problem}")
            return {}, 1
        nodes: dict[Any, tuple[yaml.Node, yaml.Node]] = {}
        for key_node, value_node in pairs:
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

    def _pairs(self, node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
        """The keys and values of a mapping, those of its merge keys first.

        Raises:
            TooLargeError: The merge keys of the file add too much.
            yaml.MarkedYAMLError: What is merged is no mapping.
        """
        merged: list[tuple[yaml.Node, yaml.Node]] = []
        own = []
        for key_node, value_node in node.value:
            if key_node.tag != MERGE:
                own.append((key_node, value_node))
                continue
            several = isinstance(value_node, yaml.SequenceNode)
            for source in reversed(value_node.value) if several else [value_node]:  # of several the first wins
                if not isinstance(source, yaml.MappingNode):
                    raise yaml.MarkedYAMLError(problem="it takes mappings only", problem_mark=source.start_mark)
                added = self._pairs(source)
                self._merged += len(added)
                if self._merged > MAX_VALUES:
                    problem = f"the merge keys << of the file add more than {MAX_VALUES:,} values"
                    raise TooLargeError(problem=problem, problem_mark=key_node.start_mark)
                merged += added
        return merged + own


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


MAX_BYTES = 1_000_000


def read_file(path: Path) -> tuple[dict[Any, Any], Faults]:
    """The mapping in the YAML file ``path``, and the faults found so far, which know its lines.

    UTF-8 with or without a byte order mark, with any line ends. Aliases and merge keys are filled in; of a duplicate
    key the last counts, with a warning.

    Raises:
        ConfigError: The file cannot be read, is too large, is not UTF-8, does not parse, is empty, or is no mapping.
    """
    name = str(path)
    text = _text(path, name)
    try:
        loader = SweepLoader(text)
        root = loader.get_single_node()
        if root is None:
            raise ConfigError([Fault("the file is empty; a sweep needs at least method and parameters", file=name)])
        tree = Tree(loader, root)
        faults = Faults(name, tree)
        value = tree.value(faults)
    except TooLargeError as error:
        line, column = _place(error)
        raise ConfigError([Fault(str(error.problem), file=name, line=line, column=column)]) from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_parse_fault(error, name)]) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        code = error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")
        message = f"the character U+{code:04X} is not allowed in YAML"
        raise ConfigError([Fault(message, file=name, line=line)]) from None
    if not isinstance(value, dict):
        faults.raise_if_any()
        line, column = root.start_mark.line + 1, root.start_mark.column + 1
        kind = {list: "a list", type(None): "nothing"}.get(type(value), f"the {type(value).__name__} {value!r}"[:80])
        message = f"a sweep config is a mapping of keys such as method and parameters, and this is {kind}"
        raise ConfigError([Fault(message, file=name, line=line, column=column)])
    return value, faults


def _text(path: Path, name: str) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError([Fault("there is no such file", file=name)]) from None
    except IsADirectoryError:
        raise ConfigError([Fault("this is a directory; give the path of a YAML file", file=name)]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError([Fault(f"the file cannot be read: {reason}", file=name)]) from None
    if len(data) > MAX_BYTES:
        message = (
            f"the file has {len(data):,} bytes, and a sweep file has at most {MAX_BYTES:,};"
            " keep data in a file of its own, and give its path as a parameter"
        )
        raise ConfigError([Fault(message, file=name)])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"the file is not UTF-8 text: byte 0x{data[error.start]:02x}; save it as UTF-8"
        raise ConfigError([Fault(message, file=name, line=line)]) from None


def _parse_fault(error: yaml.MarkedYAMLError, name: str) -> Fault:
    mark = error.problem_mark or error.context_mark
    line, column = _place(error)
    problem = error.problem or "the text does not follow the rules of YAML"
    context = f"{error.context}, " if error.context else ""
    if error.context_mark and mark and error.context_mark.line != mark.line:
        context = f"{error.context} that begins at line {error.context_mark.line + 1}, "
    hint = ""
    if "'\\t'" in problem:
        hint = "; indent with spaces, not with tabs"
    elif "mapping values are not allowed" in problem:
        hint = "; check the indentation, and put quotes around a text that holds a colon"
    elif "but found another document" in problem:
        hint = "; one file holds one sweep, so split it at ---"
    return Fault(f"this is not valid YAML: {context}{problem}{hint}", file=name, line=line, column=column)


def _place(error: yaml.MarkedYAMLError) -> tuple[int, int] | tuple[None, None]:
    mark = error.problem_mark or error.context_mark
    return (mark.line + 1, mark.column + 1) if mark else (None, None)
