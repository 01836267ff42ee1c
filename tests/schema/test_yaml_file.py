"""Reading the file: where PyYAML differs from what people expect, and every kind of unreadable file."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightsweep.errors import ConfigError, Fault
from lightsweep.schema import SweepConfig

HEAD = "method: random\nparameters:\n  lr:\n"


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """A function that writes a sweep file and gives its path."""

    def write(text: str | bytes) -> Path:
        path = tmp_path / "sweep.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def refusal(source: Any) -> Fault:
    """The only fault of ``source``."""
    with pytest.raises(ConfigError) as caught:
        SweepConfig.load(source)
    assert len(caught.value.faults) == 1, str(caught.value)
    return caught.value.faults[0]


def values(path: Path) -> list[Any]:
    """The values of ``lr`` as read from the file."""
    found = SweepConfig.load(path).raw["parameters"]["lr"]["values"]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(
    ("written_as", "number"), [("1e-5", 1e-5), ("1E5", 1e5), ("+1e3", 1e3), (".5e-3", 5e-4), ("!!float 1e-5", 1e-5)]
)
def test_numbers_are_numbers(written: Any, written_as: str, number: float) -> None:
    (value,) = values(written(f"{HEAD}    values: [{written_as}]\n"))
    assert value == number
    assert isinstance(value, float)


@pytest.mark.parametrize(
    ("written_as", "value"),
    [("'1e-5'", "1e-5"), ("2020-01-02 10:00:00", "2020-01-02 10:00:00"), ("e5", "e5"), ("yes", True), ("~", None)],
)
def test_other_scalars_keep_their_type(written: Any, written_as: str, value: object) -> None:
    (read,) = values(written(f"{HEAD}    values: [{written_as}]\n"))
    assert read == value
    assert type(read) is type(value)


def test_bom_and_crlf_are_fine(written: Any) -> None:
    path = written(b"\xef\xbb\xbf" + f"{HEAD}    values: [1e-5, ä]\n".replace("\n", "\r\n").encode())
    assert values(path) == [1e-5, "ä"]


def test_lines_count_in_a_crlf_file(written: Any) -> None:
    fault = refusal(written(f"{HEAD}    min: 2\n    max: 1\n".replace("\n", "\r\n")))
    assert (fault.where, fault.line, fault.column) == ("parameters.lr.min", 4, 10)


def test_aliases_and_merge_keys_are_filled_in(written: Any) -> None:
    path = written(f"{HEAD}    &base\n    min: 1\n    max: 3\n  n: *base\n  m:\n    <<: *base\n    max: 9\n")
    config = SweepConfig.load(path)
    assert config.raw["parameters"]["n"] == {"min": 1, "max": 3}
    assert config.raw["parameters"]["m"] == {"min": 1, "max": 9}
    assert config.warnings == ()


def test_a_duplicate_key_counts_last_and_warns_with_both_lines(written: Any) -> None:
    config = SweepConfig.load(written(f"{HEAD}    value: 1\n  lr:\n    value: 2\n"))
    assert config.space.at([]) == {"lr": 2}
    (warning,) = config.warnings
    assert warning.line == 5
    assert "duplicate key 'lr'" in warning.message
    assert "at lines 3 and 5" in warning.message
    assert "line 5 counts" in warning.message


def test_a_key_that_overrides_a_merged_one_is_no_duplicate(written: Any) -> None:
    path = written(
        f"{HEAD}    <<: &base {{<<: &first {{min: 1, max: 3}}, max: 5}}\n    max: 9\n  n: *base\n  m: *first\n"
    )
    config = SweepConfig.load(path)
    assert config.warnings == ()
    found = config.raw["parameters"]
    assert (found["lr"], found["n"], found["m"]) == ({"min": 1, "max": 9}, {"min": 1, "max": 5}, {"min": 1, "max": 3})


def test_merges_of_merges_do_not_grow(written: Any) -> None:
    names = [f"n{number}" for number in range(30)]
    rows = [f"{name}: &{name} {{<<: [{', '.join([f'*{above}'] * 10)}]}}" for above, name in pairwise(names)]
    text = "\n".join(["n0: &n0 {value: 1}", *rows, "method: random", "parameters: {x: *n29}"])
    assert SweepConfig.load(written(text)).space.at([]) == {"x": 1}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (f"{HEAD}\tmin: 1\n", 4, "tabs"),
        ("method: [random\nparameters: 1\n", 2, "begins at line 1"),
        ("method: random: x\n", 1, "quotes"),
        ("a: 1\n---\nb: 2\n", 2, "one sweep"),
        ("a: 1\nb: \x07\n", 2, "U+0007"),
        (b"a: 1\nb: caf\xe9\n", 2, "UTF-8"),
        ("x", 1, "mapping"),
        ("- x\n", 1, "a list"),
    ],
)
def test_what_does_not_parse_has_its_line(written: Any, text: str | bytes, line: int, words: str) -> None:
    fault = refusal(written(text))
    assert fault.line == line
    assert words in fault.message
    assert (fault.file or "").endswith("sweep.yaml")


@pytest.mark.parametrize("text", ["", "# only a comment\n", "\n\n"])
def test_an_empty_file(written: Any, text: str) -> None:
    assert "empty" in refusal(written(text)).message


@pytest.mark.parametrize("text", ["[" * 20_000, f"{HEAD}    value: {'[' * 120 + ']' * 120}\n", "- " * 5000])
def test_a_file_nested_too_deeply(written: Any, text: str) -> None:
    fault = refusal(written(text))
    assert fault.message == "this value is nested deeper than 100 levels"
    assert fault.line == text.count("\n", 0, text.index("[" if "[" in text else "-")) + 1
    assert 90 < (fault.column or 0) < 220


def test_a_file_is_at_most_a_megabyte(written: Any) -> None:
    text = f"method: random\nparameters: {{x: {{value: 1}}}}\ndescription: {'x' * 1_000_000}\n"
    assert "1,000,057 bytes, and a sweep file has at most 1,000,000" in refusal(written(text)).message
    SweepConfig.load(written(text[:900_000]))


def test_a_bomb_of_merge_keys_is_one_fault(written: Any) -> None:
    keys = ", ".join(f"k{number}: 1" for number in range(1000))
    rows = [f"b{number}: {{<<: [{', '.join(['*a'] * 600)}]}}\n" for number in range(3)]
    fault = refusal(written(f"a: &a {{{keys}}}\n{''.join(rows)}method: random\nparameters: {{x: {{value: 1}}}}\n"))
    assert "the merge keys << of the file add more than 1,000,000 values" in fault.message
    assert (fault.line, fault.column) == (3, 6)


def test_a_document_that_grows_without_end_says_so(written: Any) -> None:
    rows = [f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 99)}]" for number in range(1, 5)]
    with pytest.raises(ConfigError) as caught:
        SweepConfig.load(written("\n".join(["a0: &a0 [1]", *rows, "method: random", "parameters: {x: {value: *a3}}"])))
    assert all("more than 1,000,000 values once its aliases are filled in" in str(each) for each in caught.value.faults)


def test_the_work_grows_with_the_number_of_parameters() -> None:
    def calls(count: int) -> int:
        parameters = {f"group.p{number}": {"value": {"a": 1}} for number in range(count)}
        counted = 0

        def count_one(*_: Any) -> None:
            nonlocal counted
            counted += 1

        sys.setprofile(count_one)
        try:
            SweepConfig.load({"method": "random", "parameters": parameters})
        finally:
            sys.setprofile(None)
        return counted

    calls(1)
    assert calls(400) < 2.5 * calls(200)


def test_missing_file_directory_and_text_instead_of_a_path(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.yaml").message == "no such file"
    (tmp_path / "sweep.yaml").touch()
    assert refusal(tmp_path / "sweep.yml").message == "no such file; did you mean 'sweep.yaml'?"
    (tmp_path / "train.py").write_text("import lightsweep\n")
    assert "a Python script; give the sweep file" in refusal(tmp_path / "train.py").message
    assert "directory" in refusal(str(tmp_path)).message
    assert "path" in refusal("method: random\nparameters: {}\n").message
    assert "cannot be read" in refusal("\0").message
    assert "a path or a dict" in refusal(3).message


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("!!python/object/apply:os.system [ls]", "!!python/object/apply:os.system"),
        ("!!binary aGk=", "!!binary"),
        ("!!set {a, b}", "!!set"),
        ("!mine 3", "!mine"),
        ("!!float abc", "cannot be read as !!float"),
        ("!!bool maybe", "cannot be read as !!bool"),
        ("&a [*a]", "contains itself"),
        ("{[1, 2]: 3}", "must be text"),
        ("{<<: 3}", "merge key"),
    ],
)
def test_values_that_are_not_plain(written: Any, value: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SweepConfig.load(written(f"{HEAD}    value: {value}\n"))
    fault = caught.value.faults[0]
    assert words in fault.message
    assert fault.where.startswith("parameters.lr.value")
    assert fault.line == 4


def test_a_dict_may_hold_tuples_numpy_numbers_and_paths() -> None:
    values = (np.int64(3), np.float32(0.5), np.bool_(True), np.str_("a"), Path("data/x"), (1, 2))
    config = SweepConfig.load({"method": "grid", "parameters": {"x": {"values": values}}})
    assert config.raw["parameters"]["x"]["values"] == [3, 0.5, True, "a", "data/x", [1, 2]]
    assert [type(value) for value in config.raw["parameters"]["x"]["values"]] == [int, float, bool, str, str, list]
    assert config.source is None


@pytest.mark.parametrize(
    "value",
    [{1, 2}, b"x", object(), np.zeros(2), float("nan"), 10**5000, "\ud800", {b"k": 1}],
    ids=["set", "bytes", "object", "array", "nan", "long integer", "surrogate", "key"],
)
def test_what_json_cannot_hold_is_a_fault_with_its_path(value: object) -> None:
    fault = refusal({"method": "random", "parameters": {"x": {"values": [1, {"deep": value}]}}})
    assert fault.where == "parameters.x.values[1].deep"


def test_a_dict_that_holds_itself() -> None:
    config: dict[str, Any] = {"method": "random", "parameters": {"x": {"value": 1}}}
    config["notes"] = config
    assert "100 levels" in refusal(config).message


def test_the_config_is_not_the_dict_that_it_was_read_from() -> None:
    source = {"method": "random", "parameters": {"x": {"values": [1, 2]}}}
    config = SweepConfig.load(source)
    source["method"] = "grid"
    assert config.raw["method"] == "random"


def test_equal_by_content_and_not_by_file(written: Any) -> None:
    path = written(f"{HEAD}    values: [1, 2]\n")
    config, same = SweepConfig.load(path), {"parameters": {"lr": {"values": (1, 2)}}, "method": "random"}
    assert config == SweepConfig.load(same)
    assert hash(config) == hash(SweepConfig.load(same))
    assert config != SweepConfig.load({**same, "parameters": {"lr": {"values": [1, True]}}})
    assert config != "something else"
    assert config.source == str(path)
