"""The page: complete, without any request, and safe from text of users."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
import yaml
from report_helpers import EVIL, NOW, many_runs, sweep_config, sweep_run
from test_figures import ODD

from lightsweep.controller import SweepState
from lightsweep.controller.runs import Repeat
from lightsweep.report import page, report_data
from lightsweep.report.page import page_data

STATE = SweepState("finished", "run_cap 30")


@pytest.fixture(autouse=True)
def without_forest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out importance, which takes seconds for many runs; other tests cover it."""
    monkeypatch.setattr("lightsweep.report.data.importance_or_reason", lambda *_: "Not asked.")


class Reader(HTMLParser):
    """The scripts, the policy, the title, and every tag with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags:
            self.texts.append((self.tags[-1][0], data))


def read(text: str) -> tuple[Reader, dict[str, Any]]:
    reader = Reader(text)
    scripts = [data for tag, data in reader.texts if tag == "script" and data.strip()]
    found: dict[str, Any] = json.loads(scripts[0])
    return reader, found


def test_prior_runs_are_told_apart_and_in_no_figure() -> None:
    config = sweep_config()
    runs = many_runs(config, 30)
    prior = [sweep_run(config, 90 + place, prior=True, history=[1e-9]) for place in range(3)]
    alone, begun_with = (
        page_data("k3v9x2ab", STATE, report_data(config, each, (), now=NOW)) for each in (runs, runs + prior)
    )
    assert begun_with["headline"].pop("priors") == 3
    assert alone["headline"].pop("priors") == 0
    assert begun_with == alone


def test_the_page_holds_its_data_and_loads_nothing() -> None:
    config = sweep_config()
    text = page("k3v9x2ab", STATE, report_data(config, many_runs(config, 30), now=NOW))
    reader, data = read(text)
    assert data["headline"]["runs"] == len(data["rows"]) == 30
    assert [column["name"] for column in data["columns"]][:4] == ["run", "state", "val_loss", "iterations"]
    for tag, attributes in reader.tags:
        assert tag not in {"img", "iframe", "object", "embed"}
        assert "src" not in attributes
        if tag == "link":
            assert attributes == {"rel": "icon", "href": "data:,"}


def test_the_policy_admits_the_scripts_of_the_page_and_no_other() -> None:
    config = sweep_config()
    text = page("k3v9x2ab", STATE, report_data(config, [], now=NOW))
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    scripts = re.findall(r'<script(?: type="text/plain"[^>]*)?>(.*?)</script>', text, re.DOTALL)
    assert len(scripts) == 11
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert set(re.findall(r"'sha256-([^']*)'", policy)) == set(hashes)
    assert "default-src 'none'" in policy
    assert "'unsafe-inline'" not in policy.replace("style-src 'unsafe-inline'", "")


def test_text_of_users_cannot_leave_its_place() -> None:
    config = sweep_config({EVIL: {"values": [EVIL, "b"]}}, name=EVIL, description=EVIL, metric={"name": EVIL})
    runs = [replace(run, agent=EVIL, reason=EVIL) for run in many_runs(config, 20)]
    calm = page("k3v9x2ab", STATE, report_data(sweep_config(), [], now=NOW))
    text = page("k3v9x2ab", SweepState("finished", EVIL), report_data(config, runs, now=NOW))
    reader, data = read(text)
    assert [tag for tag, _ in reader.tags] == [tag for tag, _ in Reader(calm).tags]
    assert "<img" not in text.replace(calm, "").split('id="data"')[1].split("</script>")[0]
    assert data["headline"]["title"] == EVIL
    assert data["rows"][0][-1] == EVIL
    assert yaml.safe_load(data["headline"]["best"]["config"])[EVIL] in {EVIL, "b"}


@pytest.mark.parametrize("kind", ODD)
def test_every_odd_sweep_has_a_page(kind: str) -> None:
    config, runs = ODD[kind]
    data = page_data("k3v9x2ab", STATE, report_data(config, runs, now=NOW))
    json.dumps(data, allow_nan=False)
    assert len(data["rows"]) == len(runs)
    assert all(len(row) == len(data["columns"]) for row in data["rows"])
    assert (data["headline"]["best"] is None) == bool(data["headline"]["no_best"])


def test_the_headline() -> None:
    config = sweep_config()
    runs = many_runs(config, 30)
    facts = page_data("k3v9x2ab", STATE, report_data(config, runs, now=NOW))["headline"]
    best = min((run for run in runs if run.state != "failed"), key=lambda run: run.best or 9)
    assert facts["best"]["run"] == best.id
    assert yaml.safe_load(facts["best"]["config"]) == best.config
    assert facts["state"] == "finished (run_cap 30)"
    assert sum(facts["counts"].values()) == 30
    assert facts["saved"]["text"].startswith(f"{facts['counts']['pruned']} runs stopped early, ")


def test_the_best_of_repeats_is_a_group() -> None:
    config = sweep_config({"x": {"min": 0.0, "max": 1.0}}, early_terminate=None, lightsweep={"repeats": 2})
    runs = [
        sweep_run(config, number, state="finished", best=float(number), repeat=Repeat(0, number, 7, "0001"))
        for number in (1, 2)
    ]
    best = page_data("k3v9x2ab", STATE, report_data(config, runs, now=NOW))["headline"]["best"]
    assert (best["group"], best["value"]) == ("0001", "1.5 ± 0.71 (2 runs)")
    flat = sweep_config()
    assert (
        page_data("k3v9x2ab", STATE, report_data(flat, many_runs(flat, 5), now=NOW))["headline"]["best"]["group"]
        is None
    )


def test_the_table_keeps_numbers_as_numbers_and_has_text_for_what_json_lacks() -> None:
    values = {"a": float("inf"), "b": 2**60, "c": [1, "x"], "d": True, "e": 0.25, "f": None}
    config = sweep_config({name: {"values": [value, 0]} for name, value in values.items()})
    runs = [sweep_run(config, 0, values=values, history=[1.0]), sweep_run(config, 1, values={})]
    data = page_data("k3v9x2ab", STATE, report_data(config, runs, now=NOW))
    assert data["rows"][0][4:10] == ["inf", str(2**60), '[1, "x"]', "True", 0.25, "None"]
    assert data["rows"][1][4:10] == [None] * 6


def test_a_report_of_twenty_runs_is_small_and_one_with_a_matrix_has_the_whole_library() -> None:
    config = sweep_config()
    data = report_data(config, many_runs(config, 20), now=NOW)
    assert len(page("abc", STATE, data)) < 1_500_000
    matrix = {"figure": {"data": [{"type": "heatmap", "z": [[1]]}], "layout": {}}}
    media = [{"run": 1, "items": [matrix]}]
    assert len(page("abc", STATE, data, media)) > 3_000_000
