"""The release: reproducible, complete distributions, no invented address, pinned workflows with few permissions."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "release"), *sys.path])


@pytest.mark.slow
def test_two_builds_of_the_same_sources_are_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In folders of other names, with other times of the files; and nothing lacks."""
    from make import build, faults

    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1750000000")
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")
    digests = []
    for number in (1, 2):
        tree = tmp_path / f"tree{number}"
        for name in filter(None, names):
            if (ROOT / name).exists():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, tree / name)
                os.utime(tree / name, (1_700_000_000 + number, 1_700_000_000 + number))
        sdist, wheel = build(tree, tmp_path / f"dist{number}")
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in (sdist, wheel)])
    assert digests[0] == digests[1]
    assert list(faults(sdist, wheel)) == []
    command = [sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# --- addresses

HOSTS = r"github\.com|github\.io|gitlab|codeberg|bitbucket|discord|slack\.com|pypi\.org|zenodo|lightsweep"
"""Where a project has its addresses; a page may name documents of others anywhere else."""

TEXTS = (
    "*.md",
    "*.cff",
    "*.toml",
    "docs/**/*.md",
    "examples/**/*.md",
    "benchmarks/*.md",
    "website/*",
    ".github/**/*.yml",
)


def test_no_address_of_the_project_is_invented() -> None:
    for pattern in TEXTS:
        for path in ROOT.glob(pattern):
            if path.is_file():
                text = path.read_text(encoding="utf-8")
                urls = re.findall(r"https?://[^\s)>\"'`]+", text)
                assert not [url for url in urls if re.search(HOSTS, url)], path
                assert not re.search(r"[\w.]+@[\w-]+\.(com|org|io|dev|net)\b", text), path


def test_the_places_for_addresses_are_those_of_the_script() -> None:
    from addresses import PLACES

    found = subprocess.run(
        ["git", "grep", "-lE", "@(REPOSITORY|SITE)@", "--", ".", ":!release", ":!tests"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert sorted(found.stdout.split()) == sorted(PLACES)
    page = (ROOT / "docs" / "release.md").read_text()
    assert [name for name in PLACES if f"`{name}`" not in page] == []


def test_with_addresses_the_files_are_whole() -> None:
    from addresses import PLACES, filled

    texts = {name: filled((ROOT / name).read_text(), "https://r.example", "https://s.example") for name in PLACES}
    assert not [name for name, text in texts.items() if "@" in text and ("REPOSITORY@" in text or "SITE@" in text)]
    assert yaml.safe_load(texts["CITATION.cff"])["repository-code"] == "https://r.example"
    assert "\nsite_url: https://s.example\n" in texts["website/mkdocs.yml"]
    assert yaml.safe_load(texts[".github/ISSUE_TEMPLATE/config.yml"])["contact_links"][0]["url"].startswith(
        "https://s."
    )
    if sys.version_info >= (3, 11):
        import tomllib

        project = tomllib.loads(texts["pyproject.toml"])["project"]
        assert project["urls"]["Repository"] == "https://r.example"
        assert project["scripts"]


def test_the_readme_for_pypi_has_no_relative_link() -> None:
    from addresses import absolute_links

    text = absolute_links((ROOT / "README.md").read_text(), "https://r.example")
    assert re.findall(r"\]\((?!https?://|#)[^)]*\)", text) == []
    assert "](https://r.example/blob/main/docs/quickstart.md)" in text
    assert re.search(r"!\[[^\]]*\]\(https://r.example/raw/main/docs/pictures/\S+\)", text)


# --- what the repository says of itself


def test_the_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    (version,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert citation["version"] == version
    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_are_pinned_and_may_only_read(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert all(job.get("timeout-minutes") for job in workflow["jobs"].values())
    for step in steps(workflow):
        assert ("uses" in step) != ("run" in step)
        if "uses" in step:
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"])
            assert re.search(rf"{step['uses']} # v\d", path.read_text()), "its version, in a comment"
        if "checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False
        assert "${{" not in step.get("run", ""), "an expression in a shell can be an injection; pass it by env"


def test_the_release_is_published_without_a_password_and_by_a_job_that_builds_nothing() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
    assert "secrets." not in (ROOT / ".github" / "workflows" / "release.yml").read_text()
    publish = workflow["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["environment"] == "pypi"
    assert all("run" not in step for step in publish["steps"])


def test_every_extra_for_users_is_used_once_before_a_release() -> None:
    from uses import USES

    text = (ROOT / "pyproject.toml").read_text()
    block = text.partition("[project.optional-dependencies]\n")[2].partition("\n[project.scripts]")[0]
    assert set(re.findall(r"^([a-z]+) = \[", block, re.MULTILINE)) - {"docs", "all", "dev"} == set(USES)


def test_the_workflow_tests_every_python_of_the_description_on_both_systems() -> None:
    matrix = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())["jobs"]["test"]["strategy"][
        "matrix"
    ]
    described = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text())
    assert set(described) <= set(matrix["python"])
    assert {system.split("-")[0] for system in matrix["os"]} == {"ubuntu", "macos"}
