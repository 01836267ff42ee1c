"""The JSON Schema of a sweep file, by which editors complete and check it."""

from __future__ import annotations

from typing import Any

from lightsweep.schema.distributions import DISTRIBUTIONS
from lightsweep.schema.fields import Block
from lightsweep.schema.sections import (
    BLOCKS,
    LISTS,
    SERVICE_KEYS,
    EarlyTerminate,
    Metric,
    Options,
    Scheduler,
    TopLevel,
)

__all__ = ["json_schema"]

Schema = dict[str, Any]

NULL: Schema = {"type": "null"}  # a key whose value is null counts as not given
INFERRED = {
    "constant": "A fixed value.",
    "categorical": "Values that are equally likely.",
    "categorical_w_probabilities": "Values with a probability each.",
    "uniform": "Whole numbers between two whole bounds, or real numbers between any others.",
}


def json_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of a sweep file.

    It knows every key with its description, choices and type. What needs arithmetic (``min < max``) or both method and
    distribution (a grid over a continuous parameter) is left to ``SweepConfig.load``, which also takes misspelt keys at
    the top for mistakes: here further keys are allowed there, as in a W&B config.
    """
    blocks: dict[str, Schema] = {
        "parameters": _ref("parameters"),
        "metric": _ref("metric"),
        "metrics": {"type": "array", "minItems": 2, "items": _ref("metric")},
        "early_terminate": _ref("early_terminate"),
        "command": {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}},
        "scheduler": _ref("scheduler"),
        "lightsweep": _ref("lightsweep"),
    }
    top = _object(TopLevel)
    properties = top["properties"]
    properties |= {key: {**_or_null(blocks[key]), "description": text} for key, text in BLOCKS.items()}
    properties |= {key: {"description": "Means something to the W&B service only; ignored."} for key in SERVICE_KEYS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "lightsweep sweep file",
        "type": "object",
        "properties": properties,
        "required": ["method"],
        "allOf": [
            {"anyOf": [_has("parameters", "object"), _has("scheduler", "object")]},
            _needs({"properties": {"method": {"const": "bayes"}}}, "metric", "metrics"),
            _needs(_has("early_terminate", "object"), "metric", "metrics"),
            _needs({"properties": {"method": {"const": "custom"}}}, "scheduler"),
        ],
        "additionalProperties": True,
        "$defs": {
            "parameters": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"minLength": 1},
                "additionalProperties": _ref("parameter"),
            },
            "parameter": _parameter(),
            "metric": _object(Metric),
            "early_terminate": _early_terminate(),
            "scheduler": _object(Scheduler),
            "lightsweep": _options(),
            **{name: _item(block) for name, block in LISTS.values()},
        },
    }


def _parameter() -> Schema:
    group: Schema = {
        "title": "nested group",
        "description": "Reaches the program as a nested dict, and the command line as --outer.inner=value.",
        "type": "object",
        "properties": {"parameters": _ref("parameters")},
        "required": ["parameters"],
        "additionalProperties": NULL,
    }
    forms = [{**_object(DISTRIBUTIONS[name]), "title": name, "description": text} for name, text in INFERRED.items()]
    return {"type": "object", "anyOf": [*forms, group, *(_named(name) for name in DISTRIBUTIONS)]}


def _named(name: str) -> Schema:
    form = _object(DISTRIBUTIONS[name])
    named = {"const": name, "description": form.get("description", "")}
    required = ["distribution", *form.get("required", [])]
    return {**form, "title": name, "properties": {"distribution": named, **form["properties"]}, "required": required}


def _early_terminate() -> Schema:
    by_max = {"allOf": [_has("max_iter", "integer"), _has("s", "integer")]}
    return {**_object(EarlyTerminate), "anyOf": [_has("min_iter", "integer"), by_max]}


def _options() -> Schema:
    found = _object(Options)
    for key, (name, _) in LISTS.items():
        items: Schema = {"type": "array", "minItems": 1, "items": _ref(name)}
        found["properties"][key] = {**found["properties"][key], "anyOf": [items, NULL]}
    return found


def _item(block: type[Block]) -> Schema:
    found = _object(block)
    about = found["properties"]["early_terminate"]["description"]
    found["properties"]["early_terminate"] = {"description": about, "anyOf": [_ref("early_terminate"), NULL]}
    return found


def _object(model: type[Block]) -> Schema:
    """The schema of a block; its keys take null where they have a default, and unknown ones take nothing else."""
    schema = model.model_json_schema()
    required = schema.get("required", [])
    properties = {}
    for key, given in schema["properties"].items():
        plain = {name: value for name, value in given.items() if name != "title"}
        properties[key] = plain if key in required else _or_null(plain)
    about = schema.get("description", "").replace("``", "")
    return {**schema, "description": about, "properties": properties, "additionalProperties": NULL}


def _or_null(schema: Schema) -> Schema:
    about: Schema = {name: schema[name] for name in ("description", "default") if schema.get(name) is not None}
    rest: Schema = {name: value for name, value in schema.items() if name not in ("description", "default")}
    choices = rest["anyOf"] if set(rest) == {"anyOf"} else [rest]
    return {**about, "anyOf": choices if NULL in choices else [*choices, NULL]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _has(key: str, kind: str) -> Schema:
    return {"required": [key], "properties": {key: {"type": kind}}}


def _needs(condition: Schema, *keys: str) -> Schema:
    kinds = {"metrics": "array"}
    return {"if": condition, "then": {"anyOf": [_has(key, kinds.get(key, "object")) for key in keys]}}
