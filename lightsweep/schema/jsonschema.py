"""The JSON Schema of a sweep file, by which editors complete and check it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightsweep.schema.distributions import DISTRIBUTIONS
from lightsweep.schema.fields import Key, keys_of
from lightsweep.schema.sections import (
    BLOCKS,
    LISTS,
    SERVICE_KEYS,
    EarlyTerminate,
    Metric,
    Options,
    Scheduler,
    TopLevel,
    sampler_names,
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
            **{name: _object(keys, {"early_terminate": _ref("early_terminate")}) for name, keys in LISTS.values()},
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
    forms = [{**_mapping(text, DISTRIBUTIONS[name].keys), "title": name} for name, text in INFERRED.items()]
    return {"type": "object", "anyOf": [*forms, group, *(_named(name) for name in DISTRIBUTIONS)]}


def _named(name: str) -> Schema:
    form = _mapping(DISTRIBUTIONS[name].about, DISTRIBUTIONS[name].keys)
    named = {"const": name, "description": form["description"]}
    required = ["distribution", *form["required"]]
    return {**form, "title": name, "properties": {"distribution": named, **form["properties"]}, "required": required}


def _early_terminate() -> Schema:
    by_max = {"allOf": [_has("max_iter", "integer"), _has("s", "integer")]}
    return {**_object(EarlyTerminate), "anyOf": [_has("min_iter", "integer"), by_max]}


def _options() -> Schema:
    lists: Schema = {key: {"type": "array", "minItems": 1, "items": _ref(name)} for key, (name, _) in LISTS.items()}
    return _object(Options, {**lists, "sampler": {"enum": sampler_names()}})


def _object(model: type, others: Mapping[str, Schema] | None = None) -> Schema:
    """The schema of the keys that a dataclass declares; ``others`` are schemas that its rules do not know."""
    about = (model.__doc__ or "").partition("\n")[0].replace("``", "")
    return _mapping(about, keys_of(model), others or {})


def _mapping(about: str, keys: Mapping[str, Key], others: Mapping[str, Schema] | None = None) -> Schema:
    """The schema of a mapping; keys with a default take null as well, and unknown ones take nothing else."""
    properties: Schema = {}
    for name, key in keys.items():
        schema = (others or {}).get(name, key.rule.schema)
        found = {"description": key.about}
        if key.default not in (..., None, ()):
            found["default"] = key.default
        properties[name] = found | (schema if key.default is ... else _or_null(schema))
    required = [name for name, key in keys.items() if key.default is ...]
    kind = {"description": about, "type": "object"}
    return {**kind, "properties": properties, "required": required, "additionalProperties": NULL}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, NULL]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _has(key: str, kind: str) -> Schema:
    return {"required": [key], "properties": {key: {"type": kind}}}


def _needs(condition: Schema, *keys: str) -> Schema:
    kinds = {"metrics": "array"}
    return {"if": condition, "then": {"anyOf": [_has(key, kinds.get(key, "object")) for key in keys]}}
