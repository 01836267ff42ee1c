"""The site: its pages of reference name everything, and a broken link is found. ``make site`` builds all of it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

import lightsweep
from lightsweep.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def website(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "website"), *sys.path])


def test_the_reference_has_every_command_and_option() -> None:
    from reference import commands_page

    page = commands_page()
    assert [name for name in COMMANDS if f"### lightsweep {name}\n" not in page] == []
    assert "#### lightsweep storage serve\n" in page
    for text in ("`--jobs N`", "`--smoke-timeout SECONDS`", "`CONFIG <str>`", "default: 20"):
        assert text in page


def test_the_reference_has_every_public_name() -> None:
    from reference import MODULES, python_page

    page = python_page()
    missing = {name for name in lightsweep.__all__ if f"### `{name}`\n" not in page}
    values, of_wandb = {"__version__", "config", "run"}, {"alert", "define_metric", "save", "unwatch"}
    assert missing - values <= of_wandb  # these are in the table of W&B's names
    on_the_page = (ROOT / "docs" / "architecture.md").read_text()
    public = {part for part in on_the_page.split("`") if part.startswith("lightsweep.integrations.")}
    assert public == set(MODULES) - {"lightsweep"}
    for text in ("#### `Sweep.load`", "#### `Run.log`", "**Raises**", "- `ConfigError`: The config is wrong"):
        assert text in page


def test_the_reference_says_of_each_name_of_wandb_what_it_does() -> None:
    from reference import wandb_page

    page = wandb_page()
    assert "| `Image` | kept as a file | PNG of an array" in page
    assert "## run\n" in page
    assert "## wandb.integration\n" in page


def test_the_glossary_has_every_word_of_architecture() -> None:
    from reference import glossary_page

    page = glossary_page()
    assert "## band\n\nA number of iterations" in page
    assert page.count("\n## ") > 15


def test_every_page_is_in_the_navigation() -> None:
    def leaves(node: object) -> list[str]:
        if isinstance(node, str):
            return [node]
        children = node if isinstance(node, list) else list(node.values()) if isinstance(node, dict) else []
        return [leaf for child in children for leaf in leaves(child)]

    listed = set(leaves(yaml.safe_load((ROOT / "website" / "mkdocs.yml").read_text())["nav"]))
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert pages - listed == set()


@pytest.mark.parametrize(
    ("link", "found"),
    [
        ("b.html#there", ""),
        ("b.html", ""),
        ("b.html#gone", "a.html links to b.html#gone, which has no such anchor"),
        ("c.html", "a.html links to c.html"),
        ("https://example.com/x", ""),
    ],
)
def test_broken_links_are_found(link: str, found: str, tmp_path: Path) -> None:
    from build import broken_links

    (tmp_path / "a.html").write_text(f'<a href="{link}">x</a>')
    (tmp_path / "b.html").write_text('<h2 id="there">x</h2>')
    assert list(broken_links(tmp_path)) == ([found] if found else [])


def test_what_a_page_loads_from_elsewhere_is_found(tmp_path: Path) -> None:
    from build import broken_links

    (tmp_path / "a.html").write_text('<script src="https://cdn.example.com/x.js"></script>')
    assert list(broken_links(tmp_path)) == ["a.html loads https://cdn.example.com/x.js"]


def test_links_to_code_become_text_and_links_to_folders_lead_to_their_page() -> None:
    from build import without_links_to_code

    text = "[a](lightsweep/errors.py) [b](docs/faq.md#x) [c](examples) [d](examples/plain_pytorch) [e](https://e.org)"
    assert without_links_to_code(text, ROOT / "README.md") == (
        "a [b](docs/faq.md#x) c [d](examples/plain_pytorch/README.md) [e](https://e.org)"
    )


def test_a_recording_is_a_picture_that_moves() -> None:
    from terminal import FRAMES, chosen, svg

    screens = [[((0, f"line {number} <b>", "#fff", True),), ()] for number in range(2 * FRAMES)]
    frames = chosen(screens)
    assert (len(frames), frames[-1]) == (FRAMES, screens[-1])
    picture = ElementTree.fromstring(svg(frames))
    groups = picture.findall("{http://www.w3.org/2000/svg}g")
    assert len(groups) == FRAMES
    assert [group.get("opacity") for group in groups].count("1") == 1  # what a viewer without motion shows
    assert groups[-1].get("opacity") == "1"
    assert "line 0 <b>" in "".join(picture.itertext())


def test_each_benchmark_with_ratios_has_a_picture(tmp_path: Path) -> None:
    from charts import ratios, with_charts

    page = (ROOT / "benchmarks" / "README.md").read_text()
    changed = with_charts(page, tmp_path)
    pictures = {path.stem for path in tmp_path.glob("*.svg")}
    assert {"startup", "proposals", "turnaround", "footprint", "reports", "training", "scale"} <= pictures
    assert all(f"### {name}\n\n![" in changed and f"]({name}.svg)\n" in changed for name in pictures)
    assert re.sub(r"\n!\[.*\]\(\w+\.svg\)\n", "", changed) == page
    table = "|   | lightsweep | ratio |\n|---|---|---|\n| fast | 1 ms | 0.25 |\n| other | 1 ms | |\n"
    assert ratios(table) == [("fast", 0.25)]
    assert ElementTree.parse(tmp_path / "turnaround.svg").getroot().tag.endswith("svg")


def test_the_gallery_shows_a_sweep_of_each_starter(tmp_path: Path) -> None:
    from gallery import SHOWN, sweep_file, write_gallery

    from lightsweep.schema.config import SweepConfig

    write_gallery(tmp_path, reports=False)
    page = (tmp_path / "README.md").read_text()
    assert {shown.starter for shown in SHOWN} == {"plain", "lightning", "transformers"}
    for shown in SHOWN:
        (tmp_path / "sweep.yaml").write_text(sweep_file(shown))
        SweepConfig.load(tmp_path / "sweep.yaml")
        assert f"## {shown.title}\n\n{shown.text}\n\n```yaml\n{sweep_file(shown)}```\n" in page
