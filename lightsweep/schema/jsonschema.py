"""The JSON Schema of a sweep file, with which editors complete and check it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightsweep.schema.distributions import DISTRIBUTIONS
from lightsweep.schema.fields import Key, keys_of, ref
from lightsweep.schema.sections import MODELS, SERVICE_KEYS, TopLevel, sampler_names
from lightsweep.schema.stopping import STOPPING

Schema = dict[str, Any]

NULL: Schema = {"type": "null"}  # a key with the value null counts as absent
INFERRED = {name: DISTRIBUTIONS[name].about for name in ("constant", "categorical", "categorical_w_probabilities")}
INFERRED["uniform"] = "Whole numbers between two whole bounds, or real numbers between any others."


def json_schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of a sweep file.

    It has every key with its description, choices and type. Only ``SweepConfig.load`` checks rules between keys
    (``min < max``, no grid over a continuous parameter) and misspelt keys at the top, where this schema allows any key,
    as W&B does.
    """
    top = _object(TopLevel)
    by_max = {"allOf": [_has("max_iter", "integer"), _has("s", "integer")]}
    models = {name: _object(model) for name, model in MODELS.items()}
    models["early_terminate"]["anyOf"] = [_has("min_iter", "integer"), by_max]
    models["lightsweep"]["properties"]["sampler"] |= _or_null({"enum": sampler_names()})
    rules = [{**_object(keys), "title": name} for name, (keys, _) in STOPPING.items()]
    models["stopping"] = {"anyOf": [{"enum": [*STOPPING]}, *rules]}
    service = {key: {"description": "For the W&B service only; ignored."} for key in SERVICE_KEYS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "lightsweep sweep file",
        **top,
        "properties": top["properties"] | service,
        "allOf": [
            {"anyOf": [_has("parameters", "object"), _has("scheduler", "object")]},
            _needs({"properties": {"method": {"const": "bayes"}}}, "metric", "metrics"),
            _needs(_has("early_terminate", "object"), "metric", "metrics"),
            _needs(_STOPS, "metric", "metrics"),
            _needs({"properties": {"method": {"const": "custom"}}}, "scheduler"),
        ],
        "additionalProperties": True,
        "$defs": {
            "parameters": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"minLength": 1},
                "additionalProperties": ref("parameter"),
            },
            "parameter": _parameter(),
            **models,
        },
    }


def _parameter() -> Schema:
    group: Schema = {
        "title": "nested group",
        "description": "Reaches the program as a nested dict, and the command line as --outer.inner=value.",
        "type": "object",
        "properties": {"parameters": ref("parameters")},
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


def _object(model: type) -> Schema:
    """The schema of the keys that a dataclass declares."""
    return _mapping((model.__doc__ or "").partition("\n")[0].replace("``", ""), keys_of(model))


def _mapping(about: str, keys: Mapping[str, Key]) -> Schema:
    """The schema of a mapping; keys with a default take null as well, and unknown ones take nothing else."""
    properties: Schema = {}
    for name, key in keys.items():
        found = {"description": key.about}
        if key.default not in (..., None, ()):
            found["default"] = key.default
        properties[name] = found | (key.rule.schema if key.default is ... else _or_null(key.rule.schema))
    required = [name for name, key in keys.items() if key.default is ...]
    kind = {"description": about, "type": "object"}
    return {**kind, "properties": properties, "required": required, "additionalProperties": NULL}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, NULL]}


_STOPS: Schema = {
    "required": ["lightsweep"],
    "properties": {
        "lightsweep": {"type": "object", "required": ["stopping"], "properties": {"stopping": {"not": NULL}}}
    },
}


def _has(key: str, kind: str) -> Schema:
    return {"required": [key], "properties": {key: {"type": kind}}}


def _needs(condition: Schema, *keys: str) -> Schema:
    kinds = {"metrics": "array"}
    return {"if": condition, "then": {"anyOf": [_has(key, kinds.get(key, "object")) for key in keys]}}
