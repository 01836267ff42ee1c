"""Sweep files as people published them, if the corpus is beside the repository."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from lightsweep.errors import ConfigError
from lightsweep.schema import SweepConfig, explain, json_schema

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
TABLE = CORPUS / "EXPECTED.tsv"
FILES = 194
NEEDS_A_WORD = ("duplicate key", "unknown key", "for the W&B service only")

# Where a reader would look for each mistake, by the number of the file.
LINES = {
    "046": 13, "106": 13, "107": 7, "109": 23, "115": 31, "118": 19, "139": 9,
    "154": 4, "163": 73, "187": 1, "189": 6, "191": 2, "192": 5,
}  # fmt: skip


def rows(expect: str) -> list[tuple[str, str, str]]:
    """File, path and word of the rows with this expectation; none without the corpus."""
    if not TABLE.exists():
        return []
    with TABLE.open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file, delimiter="\t")
        return [(row["file"], row["path"], row["must_name"]) for row in table if row["expect"] == expect]


def load(file: str) -> SweepConfig:
    """The config in ``file`` of the corpus."""
    return SweepConfig.load(CORPUS / file)


def test_the_corpus_is_there() -> None:
    """One skip for all of the files, which the summary shows with their number."""
    if not TABLE.exists():
        pytest.skip(f"none of the {FILES} published sweep files was read: {CORPUS} does not exist")
    assert len({file for expect in ("accept", "refuse") for file, _, _ in rows(expect)}) == FILES


class TestCorpus:
    __test__ = TABLE.exists()

    @pytest.mark.parametrize(("file", "path", "word"), rows("accept"))
    def test_accepted(self, file: str, path: str, word: str) -> None:
        config = load(file)
        noted = [warning for warning in config.warnings if any(words in warning.message for words in NEEDS_A_WORD)]
        assert not path
        if word:
            assert any(word in warning.message for warning in noted)
            assert all(warning.line for warning in noted)
        else:
            assert noted == []
        assert SweepConfig.load(json.loads(json.dumps(config.raw))) == config
        assert max(map(len, explain(config).split("\n"))) <= 80

    @pytest.mark.parametrize(("file", "path", "word"), rows("refuse"))
    def test_refused(self, file: str, path: str, word: str) -> None:
        with pytest.raises(ConfigError) as caught:
            load(file)
        named = [fault for fault in caught.value.faults if path in fault.where and word in str(fault)]
        assert LINES[file[:3]] in [fault.line for fault in named]

    def test_the_json_schema_accepts_what_loads(self) -> None:
        validator = Draft202012Validator(json_schema())
        files = [file for file, _, _ in rows("accept")]
        assert files
        for file in files:
            assert [error.message for error in validator.iter_errors(load(file).raw)] == [], file

    def test_exponents_that_look_like_values_are_named(self) -> None:
        config = load("091_lmu-mlops-ss25-sweep_pytorch_2.yaml")
        assert any("log_uniform_values" in warning.message for warning in config.warnings)
