"""The gallery: reports of real sweeps, run when the site is built, with the scripts that ``lightsweep init`` writes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

__all__ = ["write_gallery"]

ROOT = Path(__file__).resolve().parent.parent
STARTERS = ROOT / "lightsweep" / "starters"


@dataclass(frozen=True)
class Shown:
    """A sweep of the gallery: the file of a starter with some keys changed."""

    name: str
    title: str
    text: str
    changes: dict[str, Any] = field(default_factory=dict)
    starter: str = "plain"


SHOWN = [
    Shown("bayes", "Bayes with early stopping", "The file that `lightsweep init` writes, as it is."),
    Shown(
        "stages",
        "In stages",
        "First the optimizer's parameters, then the size of the network with the best values found.",
        {
            "lightsweep": {
                "stages": [
                    {
                        "parameters": ["learning_rate", "momentum"],
                        "run_cap": 12,
                        "defaults": {"width": 8, "batch_size": 64},
                    },
                    {"parameters": ["width", "batch_size"]},
                ]
            }
        },
    ),
    Shown(
        "grid",
        "A grid",
        "Every combination of few values, each trained to its end.",
        {
            "method": "grid",
            "run_cap": None,
            "early_terminate": None,
            "parameters": {
                "learning_rate": {"values": [0.03, 0.1, 0.3]},
                "momentum": {"value": 0.9},
                "width": {"values": [4, 16]},
                "batch_size": {"values": [32, 128]},
            },
        },
    ),
    Shown(
        "lightning",
        "Lightning",
        "The file that `lightsweep init --lightning` writes, with fewer runs. "
        "The callback reports the metric after each validation, and stops a run inside of `fit`.",
        {"name": "two spirals", "run_cap": 8},
        starter="lightning",
    ),
    Shown(
        "transformers",
        "Hugging Face",
        "The file that `lightsweep init --transformers` writes, with fewer runs. "
        "A `Trainer` trains a tiny BERT; the callback reports the metric after each evaluation.",
        {"name": "tiny BERT", "run_cap": 8},
        starter="transformers",
    ),
]


def write_gallery(folder: Path, *, reports: bool = True) -> None:
    """Write the page of the gallery, and its reports and pictures unless told otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "# Gallery of reports",
        "",
        "Reports of real sweeps, made when this site was built. Each is one file that needs no network.",
        "Drag along an axis, click a run.",
        "",
    ]
    for shown in SHOWN:
        config = sweep_file(shown)
        lines += [f"## {shown.title}", "", shown.text, ""]
        if reports:
            run_sweep(shown, config, folder)
            if (folder / f"{shown.name}.png").exists():
                lines += [f"[![The report: {shown.title}]({shown.name}.png)]({shown.name}.html)", ""]
            lines += [f"[Open the report]({shown.name}.html){{ .md-button }}", ""]
        lines += ["```yaml", config.strip(), "```", ""]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")


def sweep_file(shown: Shown) -> str:
    """Return the sweep file of an entry as YAML."""
    starter = yaml.safe_load((STARTERS / shown.starter / "sweep.yaml").read_text(encoding="utf-8"))
    config = {"name": None} | starter | shown.changes  # the name comes first
    kept = {key: value for key, value in config.items() if value is not None}
    return str(yaml.safe_dump(kept, sort_keys=False, default_flow_style=None, width=100))


def run_sweep(shown: Shown, config: str, folder: Path) -> None:
    """Run a sweep in a directory of its own, and write its report and a picture of it."""
    with tempfile.TemporaryDirectory() as work:
        shutil.copy(STARTERS / shown.starter / "train.py", work)
        Path(work, "sweep.yaml").write_text(config, encoding="utf-8")
        _lightsweep(["run", "sweep.yaml", "--jobs", "2"], work)
        _lightsweep(["report", "latest", "-o", str(folder / f"{shown.name}.html")], work)
    take_picture(folder / f"{shown.name}.html", folder / f"{shown.name}.png")


def _lightsweep(arguments: Sequence[str], directory: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # one thread for each job
    command = [sys.executable, "-m", "lightsweep", *arguments]
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"lightsweep {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")


def take_picture(page: Path, picture: Path) -> None:
    """Write a picture of a page; none if this machine has no Chromium or playwright."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return
    if browser is None:
        return
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        shot = chromium.new_page(viewport={"width": 1200, "height": 760})
        shot.goto(page.as_uri())
        shot.wait_for_timeout(1500)
        shot.screenshot(path=str(picture))
        chromium.close()
