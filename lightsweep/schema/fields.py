"""The keys of the mappings in a sweep file: the rule of each value, and the message of each mistake."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from lightsweep.schema.diagnostics import Spot, hint
from lightsweep.text import quoted

Schema = dict[str, Any]
Model = TypeVar("Model")

MAX_INTEGER = 2**53  # a storage keeps every number as a double, which is exact up to here


@dataclass(frozen=True, eq=False)
class Rule:
    """The rule that the value of a key must follow.

    Attributes:
        read: Returns the value in the type that the package uses; ``ValueError`` that begins with "must".
        schema: The same rule as a JSON Schema.
        each: For a list: the rule of its items.
    """

    read: Callable[[Any], Any]
    schema: Schema
    each: Rule | None = None


@dataclass(frozen=True)
class Key:
    """A key of a mapping: its rule, its description, and its default; ``...`` if it is required."""

    rule: Rule
    about: str
    default: Any = ...


@cache
def keys_of(model: Any) -> dict[str, Key]:
    """Return the keys that a dataclass declares as its fields.

    A type is ``Annotated`` with its `Rule`, or a ``Literal``, or one of them ``| None``. A key is described under
    ``Attributes`` in the docstring of the class.
    """
    attributes = (inspect.getdoc(model) or "").partition("Attributes:\n")[2]
    about = {
        name: " ".join(text.split()) for name, text in re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", attributes, re.M)
    }
    hints = get_type_hints(model, include_extras=True)
    return {
        field.name: Key(
            _rule_of(hints[field.name]), about.get(field.name, ""), ... if field.default is MISSING else field.default
        )
        for field in dataclasses.fields(model)
    }


def _rule_of(hint: Any) -> Rule:
    if hasattr(hint, "__metadata__"):
        rule: Rule = hint.__metadata__[0]
        return rule
    return choice(*get_args(hint)) if get_origin(hint) is Literal else _rule_of(get_args(hint)[0])


def number(
    *, least: float | None = None, most: float | None = None, above: float | None = None, whole: bool = False
) -> Rule:
    """Return the rule of a finite number; neither a boolean nor a text is one.

    Args:
        least, most: The bounds, both included.
        above: A bound that is not included.
        whole: Whether it must be a whole number, such as ``5`` or ``5.0``; the size is then at most 2^53.
    """
    noun = "a whole number" if whole else "a number"
    low = f" greater than {above:,}" if above is not None else "" if least is None else f" of at least {least:,}"
    rule = noun + (low if most is None else f" between {least:,} and {most:,}" if above is None else low)
    if most is not None and above is not None:
        rule += f" and at most {most:,}"

    def read(value: Any) -> float | int:
        if isinstance(value, str):
            remedy = "; write it without quotes" if _reads_as_number(value) else ""
            raise ValueError(f"must be a number, and this is the text {quoted(value)}{remedy}")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"must be a number, got {quoted(value)}")
        if not abs(value) < math.inf or (isinstance(value, int) and value.bit_length() > 1023):
            raise ValueError(f"must be a finite number, got {quoted(value)}")
        if whole and value != int(value):
            raise ValueError(f"must be a whole number, got {quoted(value)}")
        if whole and abs(value) > MAX_INTEGER:
            raise ValueError(f"must be a whole number from -2^53 to 2^53, got {quoted(value)}")
        below = (least is not None and value < least) or (above is not None and value <= above)
        if below or (most is not None and value > most):
            raise ValueError(f"must be {rule}, got {quoted(value)}")
        return int(value) if whole else value

    bounds = {"minimum": least, "maximum": most, "exclusiveMinimum": above}
    schema = {"type": "integer" if whole else "number"}
    return Rule(read, schema | {name: bound for name, bound in bounds.items() if bound is not None})


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def choice(*words: str) -> Rule:
    """Return the rule of one of several words."""

    def read(value: Any) -> str:
        if isinstance(value, str) and value in words:
            return value
        raise ValueError(f"must be one of {', '.join(words)}; got {quoted(value)}{hint(value, words)}")

    return Rule(read, {"enum": list(words)})


def rule(holds: Callable[[Any], bool], must: str, schema: Schema, convert: Callable[[Any], Any] | None = None) -> Rule:
    """Return the rule of a value that ``holds``; ``must`` says it in words, ``convert`` makes the package's type."""

    def read(value: Any) -> Any:
        if holds(value):
            return convert(value) if convert else value
        raise ValueError(f"must be {must}, got {quoted(value)}")

    return Rule(read, schema)


def unread(schema: Schema) -> Rule:
    """Return the rule of a value that is read elsewhere."""
    return Rule(lambda value: value, schema)


def ref(name: str) -> Schema:
    """Return the schema that refers to a definition of the JSON Schema."""
    return {"$ref": f"#/$defs/{name}"}


def _is_label(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return _is_label(value) and str(value).strip() != ""


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _are_texts(value: Any) -> bool:
    return all(isinstance(text, str) and text.strip() for text in _listed(value))


_TEXTS: Schema = {"type": ["array", "string"], "items": {"type": "string", "minLength": 1}}

ANYTHING = unread({})
Number = Annotated[float, number()]
Natural = Annotated[int, number(whole=True, least=1)]
Label = Annotated[str, rule(_is_label, "a text", {"type": ["string", "number"]}, str)]  # may be empty
Text = Annotated[str, rule(_is_text, "a text that is not empty", {"type": ["string", "number"], "minLength": 1}, str)]
Texts = Annotated[tuple[str, ...], rule(_are_texts, "a list of texts", _TEXTS, _listed)]
Truth = Annotated[bool, rule(lambda value: isinstance(value, bool), "true or false", {"type": "boolean"})]


def given(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of ``block`` that have a value: null counts as absent."""
    return {key: value for key, value in block.items() if value is not None}


def check(
    model: Callable[..., Model], value: Any, at: Spot, what: str, *, absent: Collection[str] = ()
) -> Model | None:
    """Return ``value`` as the dataclass ``model``; for the rest see `read_keys`."""
    found = read_keys(keys_of(model), value, at, what, absent=absent)
    return None if found is None else model(**found)


def read_keys(
    keys: Mapping[str, Key], value: Any, at: Spot, what: str, *, absent: Collection[str] = ()
) -> dict[str, Any] | None:
    """Return the values of the keys that are given; ``None`` with every mistake noted.

    Args:
        keys: The known keys.
        value: A mapping from the file.
        at: Its place.
        what: The name of the mapping in a message, such as ``metric``.
        absent: Keys whose absence is not reported.
    """
    if not isinstance(value, Mapping):
        at.error(f"{what} must be a mapping with the keys {', '.join(keys)}; got {quoted(value)}")
        return None
    before, written = at.faults.count, given(value)
    found = {}
    for name, item in written.items():
        if name not in keys:
            guess = hint(name, keys) or "."
            at[name].key_error(f"{name!r} is not a key of {what}{guess} Known keys: {', '.join(keys)}")
            continue
        rule = keys[name].rule
        found[name] = _read(rule, item, at[name], name)
        if rule.each is not None and isinstance(item, list):
            found[name] = [_read(rule.each, one, at[name][index], name) for index, one in enumerate(item)]
    lacking = [name for name, key in keys.items() if key.default is ... and name not in written]
    for name in lacking:
        if name not in absent:
            (at if at.path else at[name]).key_error(f"{what} needs the key {name!r}")
    return None if lacking or at.faults.count > before else found


def _read(rule: Rule, value: Any, at: Spot, name: str) -> Any:
    try:
        return rule.read(value)
    except ValueError as error:
        return at.error(f"{name} {error}")
