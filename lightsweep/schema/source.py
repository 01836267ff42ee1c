"""Reading a sweep file: from a path to plain values and their places, or one clear ``ConfigError``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from yaml.reader import ReaderError

from lightsweep.errors import ConfigError, Fault
from lightsweep.schema.faults import Faults
from lightsweep.schema.loader import SweepLoader
from lightsweep.schema.tree import Tree

__all__ = ["read_file"]


def read_file(path: Path) -> tuple[dict[Any, Any], Faults]:
    """The mapping in the YAML file ``path``, and the faults found so far, which know its lines.

    UTF-8 with or without a byte order mark, with any line ends. Aliases and merge keys are filled in; of a duplicate
    key the last counts, with a warning.

    Raises:
        ConfigError: The file cannot be read, is not UTF-8, does not parse, is empty, or is no mapping.
    """
    name = str(path)
    text = _text(path, name)
    try:
        loader = SweepLoader(text)
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_parse_fault(error, name)]) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        code = error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")
        message = f"the character U+{code:04X} is not allowed in YAML"
        raise ConfigError([Fault(message, file=name, line=line)]) from None
    except RecursionError:
        raise ConfigError([Fault("nested too deeply to be read", file=name)]) from None
    if root is None:
        raise ConfigError([Fault("the file is empty; a sweep needs at least method and parameters", file=name)])
    tree = Tree(loader, root)
    faults = Faults(name, tree)
    value = tree.value(faults)
    if not isinstance(value, dict):
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
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"the file is not UTF-8 text: byte 0x{data[error.start]:02x}; save it as UTF-8"
        raise ConfigError([Fault(message, file=name, line=line)]) from None


def _parse_fault(error: yaml.MarkedYAMLError, name: str) -> Fault:
    mark = error.problem_mark or error.context_mark
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
    line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
    return Fault(f"this is not valid YAML: {context}{problem}{hint}", file=name, line=line, column=column)
