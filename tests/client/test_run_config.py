"""`run.config`: values by attribute and item, and the record of what is read."""

from __future__ import annotations

import argparse
import copy
import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightsweep.client.run_config import RunConfig
from lightsweep.errors import UsageError

VALUES = {"lr": 0.1, "model": {"hidden": 8, "act": {"name": "relu"}}, "data.root": "/x", "layers": [1, {"a": 2}]}


@pytest.fixture
def reads() -> set[str]:
    return set()


@pytest.fixture
def config(reads: set[str]) -> RunConfig:
    return RunConfig(VALUES, ["lr", "model.hidden"], reads)


def test_values_are_reached_by_item_and_attribute_at_any_depth(config):
    assert config.lr == config["lr"] == 0.1
    assert config.model.act.name == config["model"]["act"]["name"] == "relu"
    assert config["data.root"] == "/x"
    assert config.layers[1] == {"a": 2}
    assert config.get("lr") == 0.1
    assert config.get("nothing", 3) == 3
    assert "lr" in config
    assert "nothing" not in config
    assert len(config) == 4


def test_it_is_a_dict_to_everyone_who_asks(config):
    assert isinstance(config, dict)
    assert config == VALUES
    assert json.loads(json.dumps(config)) == VALUES
    assert repr(config) == repr(VALUES)
    assert (lambda **values: values)(**config) == VALUES
    assert dict(config) == VALUES
    assert vars(config) == VALUES
    assert config | {"new": 1} == {**VALUES, "new": 1}
    assert {"new": 1} | config == {"new": 1, **VALUES}


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_copies_are_configs_with_a_record_of_their_own(config, duplicate):
    other = duplicate(config)
    assert type(other) is RunConfig
    assert other == VALUES
    assert other.model.hidden == 8
    other.fresh = 1
    assert "fresh" not in config
    with pytest.raises(UsageError, match="the sweep sets it"):
        other.lr = 3


def test_missing_names_are_answered_with_the_closest_and_with_what_there_is(config):
    with pytest.raises(
        AttributeError, match=r"config\.model has no 'hiden'; did you mean 'hidden'\? It has: hidden, act"
    ):
        _ = config.model.hiden
    with pytest.raises(KeyError, match=r"the config has no 'zzz'\. It has: lr, model, data.root, layers"):
        config["zzz"]
    assert getattr(config, "zzz", 1) == 1
    assert {"lr", "model", "as_dict"} <= set(dir(config))


def test_new_keys_may_be_added_and_equal_ones_repeated(config):
    config.epochs = 5
    config["optimizer"] = {"name": "adam"}
    config.update({"lr": 0.1, "seed": 3}, extra=None)
    config.update({"model": {"hidden": 8, "width": 2}})
    config |= {"last": 1}
    config.setdefaults({"lr": 99, "first": 0})
    assert config.setdefault("lr", 99) == 0.1
    assert (config.epochs, config.optimizer.name, config.seed, config.last, config.first) == (5, "adam", 3, 1, 0)
    assert config.model == {"hidden": 8, "act": {"name": "relu"}, "width": 2}
    assert "allow_val_change" not in config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: setattr(c, "lr", 1),
            r"config key 'lr' is 0\.1 and cannot become 1: the sweep sets it; pass default",
        ),
        (lambda c: c.update({"new": 1, "lr": 1, "data.root": "/y"}), "'data.root' is '/x'.*allow_val_change=True"),
        (lambda c: c["model"].__setitem__("hidden", 9), "'model.hidden' is 8 and cannot become 9: the sweep sets it"),
        (lambda c: c.update(model={"new": 1, "act": {"name": "gelu"}}), "'model.act.name' is 'relu'.*was started with"),
        (lambda c: c.__ior__({"data.root": 1}), "'data.root' is"),
        (lambda c: c.pop("lr"), "'lr' cannot be removed"),
        (lambda c: c.clear(), "cannot be removed"),
        (lambda c: delattr(c.model, "hidden"), "'model.hidden' cannot be removed"),
    ],
)
def test_a_refused_change_names_key_value_and_remedy_and_changes_nothing(config, change, message):
    with pytest.raises(UsageError, match=message):
        change(config)
    assert config == VALUES


@pytest.mark.parametrize(
    ("update", "named"),
    [
        (lambda c: c.update(argparse.Namespace(lr=1, new=2)), "lr"),
        (lambda c: c.update({"new": 2}, lr=1, model={"hidden": 9}), "lr, model.hidden"),
        (lambda c: c.update({"lr": 1, "new": 2}, allow_val_change=True), "lr"),
        (lambda c: c.__ior__({"lr": 1, "new": 2}), "lr"),
        (lambda c: c.update(model=3, new=2, allow_val_change=True), "model"),
    ],
)
def test_an_update_leaves_what_the_sweep_sets_and_says_so_once(config, reads, capsys, update, named):
    update(config)
    assert capsys.readouterr().err == f"lightsweep: config.update(): the sweep's values stay: {named}\n"
    assert not reads
    assert config == {**VALUES, "new": 2}


def test_an_update_may_change_what_the_sweep_does_not_set(config, capsys):
    config.update({"data.root": "/y", "layers": {"deep": 1}, "model": {"act": "gelu"}}, allow_val_change=True)
    assert config == {"lr": 0.1, "model": {"hidden": 8, "act": "gelu"}, "data.root": "/y", "layers": {"deep": 1}}
    assert config.layers.deep == 1
    assert capsys.readouterr().err == ""


def test_defaults_are_added_at_every_depth_and_count_as_no_read():
    reads = set()
    values = {"model": {"hidden": 8, "head": {"width": 2}}, "whole": {"a": 1}, "lr": 0.1}
    config = RunConfig(values, ["model.hidden", "whole", "lr"], reads)
    model = config.model
    reads.clear()
    config.setdefaults(
        {"model": {"hidden": 9, "dropout": 0.1, "head": {"bias": True}}, "whole": {"b": 2}, "lr": {"a": 1}, "epochs": 2}
    )
    assert reads == set()
    assert config == {
        "model": {"hidden": 8, "head": {"width": 2, "bias": True}, "dropout": 0.1},
        "whole": {"a": 1},
        "lr": 0.1,
        "epochs": 2,
    }
    assert model.head.bias
    assert "model.head.bias" in reads


@pytest.mark.parametrize(
    ("read", "names"),
    [
        (lambda c: c.get("lr"), {"lr"}),
        (lambda c: c.model, {"model"}),
        (lambda c: c["model"]["hidden"], {"model", "model.hidden"}),
        (lambda c: dict(c.model), {"model", "model.hidden", "model.act", "model.act.name"}),
        (lambda c: (lambda **_: None)(**c.model.act), {"model", "model.act", "model.act.name"}),
        (lambda c: json.dumps(c.model.act), {"model", "model.act", "model.act.name"}),
        (lambda c: c["data.root"], {"data.root"}),
    ],
)
def test_what_is_read_is_remembered_by_its_dotted_name(config, reads, read, names):
    read(config)
    assert reads == names


@pytest.mark.parametrize("read", [list, vars, RunConfig.items, RunConfig.values, json.dumps])
def test_reading_everything_leaves_nothing_unread(config, reads, read):
    read(config)
    assert reads >= {"lr", "model.hidden", "model.act.name", "data.root"}


@pytest.mark.parametrize("look", [repr, str, len, lambda c: "lr" in c, lambda c: c == VALUES])
def test_looking_is_not_reading(config, reads, look):
    look(config)
    assert not reads


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=8), below, max_size=4),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(max_size=8), trees, max_size=5))
def test_any_nested_dict_comes_back_as_it_was(values):
    config = RunConfig(values)
    assert repr(config.as_dict()) == repr(values)
    assert json.dumps(config) == json.dumps(values)
    assert repr(pickle.loads(pickle.dumps(config))) == repr(values)
    for name in values:
        assert repr(config[name]) == repr(values[name])
