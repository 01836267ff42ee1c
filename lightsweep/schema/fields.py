"""The pydantic base of every block of a sweep file, and the translation of what pydantic finds into our words."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails

from lightsweep.schema.diagnostics import Faults, KeyPath, hint, shown

__all__ = [
    "Block",
    "Count",
    "Integer",
    "Label",
    "Natural",
    "Number",
    "Positive",
    "Text",
    "Texts",
    "Truth",
    "between",
    "check",
    "given",
]

Model = TypeVar("Model", bound="Block")

MAX_INTEGER = 2**53  # a storage keeps every number as a double, which is exact up to here


class Block(BaseModel):
    """A mapping of a sweep file with known keys and no others; immutable once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _number(value: object) -> float | int:
    if isinstance(value, str):
        remedy = "; write it without quotes" if _reads_as_number(value) else ""
        raise ValueError(f"must be a number, and this is the text {shown(value)}{remedy}")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"must be a number, got {shown(value)}")
    try:
        finite = math.isfinite(float(value))
    except OverflowError:
        finite = False
    if not finite:
        raise ValueError(f"must be a finite number, got {shown(value)}")
    return value


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _positive(value: object) -> float | int:
    number = _number(value)
    if number <= 0:
        raise ValueError(f"must be greater than 0, got {shown(value)}")
    return number


def _integer(value: object) -> int:
    number = _number(value)
    if number != int(number):
        raise ValueError(f"must be a whole number, got {shown(value)}")
    if abs(number) > MAX_INTEGER:
        raise ValueError(f"must be a whole number from -2^53 to 2^53, got {shown(value)}")
    return int(number)


def _natural(value: object) -> int:
    number = _integer(value)
    if number < 1:
        raise ValueError(f"must be a whole number of at least 1, got {shown(value)}")
    return number


def _count(value: object) -> int:
    number = _integer(value)
    if number < 0:
        raise ValueError(f"must be a whole number of at least 0, got {shown(value)}")
    return number


def _label(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"must be a text, got {shown(value)}")


def _text(value: object) -> str:
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"must be a text that is not empty, got {shown(value)}")


def _texts(value: object) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, (list, tuple)) or not all(isinstance(text, str) and text.strip() for text in given):
        raise ValueError(f"must be a list of texts, got {shown(value)}")
    return tuple(given)


def _truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"must be true or false, got {shown(value)}")


Number = Annotated[float | int, BeforeValidator(_number), WithJsonSchema({"type": "number"})]
"""A finite number; neither a boolean nor a text."""
Positive = Annotated[float | int, BeforeValidator(_positive), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})]
"""A finite number greater than 0."""
Integer = Annotated[int, BeforeValidator(_integer), WithJsonSchema({"type": "integer"})]
"""A whole number of at most 2^53 in size; ``5.0`` is one."""
Natural = Annotated[int, BeforeValidator(_natural), WithJsonSchema({"type": "integer", "minimum": 1})]
"""A whole number of at least 1."""
Count = Annotated[int, BeforeValidator(_count), WithJsonSchema({"type": "integer", "minimum": 0})]
"""A whole number of at least 0."""
Text = Annotated[str, BeforeValidator(_text), WithJsonSchema({"type": ["string", "number"], "minLength": 1})]
"""A text that is not empty; a number is taken as the text that it is written as."""
Texts = Annotated[
    tuple[str, ...],
    BeforeValidator(_texts),
    WithJsonSchema({"type": ["array", "string"], "items": {"type": "string", "minLength": 1}}),
]
"""A list of texts; one text stands for a list of one."""
Label = Annotated[str, BeforeValidator(_label), WithJsonSchema({"type": ["string", "number"]})]
"""As ``Text``, and may be empty."""
Truth = Annotated[bool, BeforeValidator(_truth), WithJsonSchema({"type": "boolean"})]
"""``true`` or ``false``."""


def between(low: float, high: float) -> AfterValidator:
    """A rule for a number: from ``low`` to ``high``, both included."""

    def bounded(value: float) -> float:
        if not low <= value <= high:
            raise ValueError(f"must be between {low:,} and {high:,}, got {shown(value)}")
        return value

    return AfterValidator(bounded)


def given(block: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of ``block`` that have a value: null counts as not given."""
    return {key: value for key, value in block.items() if value is not None}


def check(
    model: type[Model], value: Any, path: KeyPath, faults: Faults, what: str, *, absent: Collection[str] = ()
) -> Model | None:
    """``value`` as ``model``, or ``None`` with every mistake noted in ``faults``.

    Args:
        model: The block that ``value`` should be.
        value: What stands in the file at ``path``.
        path: Where the block stands.
        faults: Takes the mistakes.
        what: What the block is called in a message, such as ``metric``.
        absent: Keys whose absence is no mistake, or was noted already.
    """
    if not isinstance(value, Mapping):
        keys = ", ".join(name for name in model.model_fields)
        faults.error(path, f"{what} must be a mapping with the keys {keys}; got {shown(value)}")
        return None
    try:
        return model.model_validate(given(value))
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            if detail["type"] != "missing" or detail["loc"][0] not in absent:
                _note(detail, model, path, faults, what)
        return None


def _choices(annotation: Any) -> Iterator[str]:
    """The words of a Literal, also of one that may be null."""
    for choice in get_args(annotation):
        if isinstance(choice, str):
            yield choice
        else:
            yield from _choices(choice)


def _note(detail: ErrorDetails, model: type[Block], path: KeyPath, faults: Faults, what: str) -> None:
    name = str(detail["loc"][0]) if detail["loc"] else ""
    place = (*path, *detail["loc"])
    kind, value = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        known = list(model.model_fields)
        guess = hint(name, known) or "."
        faults.error(place, f"{name!r} is not a key of {what}{guess} Known keys: {', '.join(known)}", key=True)
    elif kind == "missing":
        faults.error(path or place, f"{what} needs the key {name!r}", key=True)
    elif kind == "literal_error":
        choices = list(_choices(model.model_fields[name].annotation))
        guess = hint(value, choices) if isinstance(value, str) else ""
        faults.error(place, f"{name} must be one of {', '.join(choices)}; got {shown(value)}{guess}")
    elif kind == "value_error":
        faults.error(place, f"{name} {detail['ctx']['error']}")
    else:
        faults.error(place, f"{name}: {detail['msg']}; got {shown(value)}")
