"""Use what an extra makes possible, once: ``python release/uses.py EXTRA``, in an environment with that extra alone.

`install.py` calls it, in the directory of the environment. A use that fails exits with 1 and the output of the command
that failed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["USES"]

SCRIPTS = {
    "accelerate": """
from accelerate import Accelerator
from lightsweep.integrations.accelerate import SweepTracker
with lightsweep.init() as run:
    accelerator = Accelerator(cpu=True, log_with=SweepTracker())
    accelerator.init_trackers("uses")
    for epoch in range(3):
        accelerator.log({"loss": run.config.x + 1 / (1 + epoch)})
""",
    "keras": """
import os
os.environ.setdefault("KERAS_BACKEND", "torch")
import keras, numpy
from lightsweep.integrations.keras import SweepCallback
with lightsweep.init() as run:
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(run.config.x), loss="mse")
    model.fit(numpy.ones((8, 2)), numpy.ones((8, 1)), epochs=3, verbose=0, callbacks=[SweepCallback()])
""",
    "lightgbm": """
import lightgbm, numpy
from lightsweep.integrations.lightgbm import SweepCallback
with lightsweep.init() as run:
    data = lightgbm.Dataset(numpy.arange(200.0).reshape(-1, 1), numpy.arange(200.0))
    settings = {"learning_rate": run.config.x, "metric": "l2", "verbose": -1}
    lightgbm.train(settings, data, 3, valid_sets=[data], valid_names=["train"],
                   callbacks=[SweepCallback(metric="train_l2")])
""",
    "xgboost": """
import numpy, xgboost
from lightsweep.integrations.xgboost import SweepCallback
with lightsweep.init() as run:
    data = xgboost.DMatrix(numpy.arange(200.0).reshape(-1, 1), numpy.arange(200.0))
    xgboost.train({"eta": run.config.x}, data, 3, evals=[(data, "train")], verbose_eval=False,
                  callbacks=[SweepCallback(metric="train-rmse")])
""",
    "plain": """
with lightsweep.init() as run:
    for epoch in range(3):
        run.log({"loss": run.config.x + 1 / (1 + epoch)})
""",
}
SWEEP = """
program: train.py
method: bayes
metric: {name: loss}
run_cap: 2
parameters: {x: {min: 0.1, max: 0.5}}
"""


def lightsweep(*arguments: str) -> str:
    """Run a command of lightsweep and return its output; exit with it if the command fails."""
    done = subprocess.run(
        [sys.executable, "-m", "lightsweep", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        sys.exit(f"lightsweep {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def sweep(script: str, *options: str, keys: str = "") -> None:
    """Run a sweep of a script, and find the best run."""
    Path("train.py").write_text(f"import lightsweep\n{SCRIPTS[script]}", encoding="utf-8")
    Path("sweep.yaml").write_text(SWEEP + keys, encoding="utf-8")
    lightsweep("run", "sweep.yaml", *options)
    lightsweep("best", "latest", *options)


def starter(name: str) -> None:
    """Run two runs of a starter's sweep."""
    lightsweep("init", f"--{name}")
    lightsweep("run", "sweep.yaml", "--count", "2")
    lightsweep("best", "latest")


@contextmanager
def started(*arguments: str) -> Iterator[str]:
    """Start a command that serves, and end it; give the first address that it prints."""
    command = [sys.executable, "-m", "lightsweep", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if found := re.search(r"\w+://\S+", line):
                    yield found[0]
                    return
            sys.exit(f"lightsweep {' '.join(arguments)} ended:\n{''.join(lines)}")
        finally:
            process.terminate()


def analysis() -> None:
    """Run the demo, which ends with a report; then importance, and a refined sweep."""
    said = lightsweep("demo")
    if not re.search(r"\S+\.html", said):
        sys.exit(f"the demo wrote no report:\n{said}")
    os.chdir("lightsweep-demo")
    lightsweep("importance", "latest")
    lightsweep("refine", "latest")


def images() -> None:
    """Draw the figures, with the Chromium or Chrome of this machine."""
    sweep("plain")
    lightsweep("report", "latest", "--format", "png", "-o", "figures")
    if not list(Path("figures").glob("*.png")):
        sys.exit("no figure was written")


def dashboard() -> None:
    """Load the page of the dashboard."""
    sweep("plain")
    with started("dashboard", "--port", "0") as url, urllib.request.urlopen(url, timeout=60) as page:
        page.read()


def postgres() -> None:
    """Ask a server that does not exist: the driver is there if it is the server that lacks."""
    from lightsweep import Sweep
    from lightsweep.errors import StorageError

    try:
        Sweep.all(storage="postgresql://nobody@127.0.0.1:9/none")
    except StorageError as error:
        if "refused" not in str(error):
            raise
        return
    sys.exit("a server that does not exist answered")


def server() -> None:
    """Run a sweep on a PostgreSQL server of the extra."""
    with started("storage", "serve", "--directory", "database", "--port", "0"):
        url = lightsweep("storage", "serve", "--directory", "database", "--show-url").strip()
        sweep("plain", "--storage", url)


def kubernetes() -> None:
    """Print the Job that would be submitted: there is no cluster here."""
    import kubernetes  # noqa: F401

    sweep("plain")
    url = "postgresql://user:secret@database.example/sweeps"
    lightsweep(
        "launch", "sweep.yaml", "--on", "kubernetes", "--storage", url, "--dry-run", "--", "--image", "trainer:1"
    )


def ray() -> None:
    """Run a sweep on a Ray cluster of one node."""
    import ray

    sweep("plain")
    Path("sweep.yaml").write_text(SWEEP, encoding="utf-8")
    address = ray.init("local", num_cpus=2, include_dashboard=False).address_info["address"]
    lightsweep("launch", "sweep.yaml", "--on", "ray", "--agents", "1", "--", "--address", address)
    for _ in range(120):
        if "finished (run_cap 2)" in lightsweep("status", "latest"):
            return
        time.sleep(1)
    sys.exit(lightsweep("status", "latest"))


USES: dict[str, Callable[[], None]] = {
    "lightning": lambda: starter("lightning"),
    "transformers": lambda: starter("transformers"),
    "accelerate": lambda: sweep("accelerate"),
    "keras": lambda: sweep("keras"),
    "lightgbm": lambda: sweep("lightgbm"),
    "xgboost": lambda: sweep("xgboost"),
    "postgres": postgres,
    "kubernetes": kubernetes,
    "server": server,
    "ray": ray,
    "dashboard": dashboard,
    "cmaes": lambda: sweep("plain", keys="lightsweep: {sampler: cmaes}\n"),
    "analysis": analysis,
    "images": images,
}
"""The extras that users install, with a use of each."""


if __name__ == "__main__":
    USES[sys.argv[1]]()
