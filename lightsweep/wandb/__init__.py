"""The names of W&B, as lightsweep means them: one table, for the docs, the stand-in and ``lightsweep check``.

``import lightsweep as wandb`` and the stand-in find each name here that lightsweep itself does not define. Nothing is
imported before a name is used.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

WORKS = "works"
FILE = "kept as a file"
NOTHING = "accepted, does nothing"
REFUSED = "refused with a sentence"
KINDS = (WORKS, FILE, NOTHING, REFUSED)
"""The kinds of names, the most useful first."""


class Name(NamedTuple):
    """The meaning of a name of W&B in lightsweep.

    Attributes:
        kind: One of ``KINDS``.
        says: One sentence without a full stop: what it does here, or for a refused name what to do instead.
        home: The module that defines it under the same name; ``lightsweep`` for the package's own names, the module
            itself for a name that is a module (``wandb.plot``), empty for a refused name and for the names of a run.
    """

    kind: str
    says: str
    home: str = ""


_OWN = "lightsweep"
_MEDIA = "lightsweep.wandb.media"
_SCENES = "lightsweep.wandb.scenes"
_ART = "lightsweep.wandb.artifacts"
_PARTS = "lightsweep.wandb.sdk"
_TRAINERS = "lightsweep.wandb.integration"
_ERRORS = "lightsweep.errors"

_GYM = "record with gymnasium's `RecordVideo`, and log the file by `Video(path)`"
_FASTAI = "fastai 2 has its own callback, which reports: `from fastai.callback.wandb import WandbCallback`"
_YOLO = "ultralytics has its own callback, which reports after `yolo settings wandb=True`"
_PIPELINE = "log what the pipeline returns: images by `Image`, texts by `Table`"
_BY_LOG = "log the sweep's metric by `log`"

NAMES: dict[str, Name] = {
    # the sweep and its runs
    "init": Name(WORKS, "starts the run of this process, with the sweep's values", _OWN),
    "log": Name(
        WORKS,
        "reports numbers; keeps all of them in `history.jsonl`, and media, tables, figures as files",
        _OWN,
    ),
    "config": Name(WORKS, "holds the sweep's values over the script's defaults", _OWN),
    "run": Name(WORKS, "is the current run, or `None`", _OWN),
    "summary": Name(WORKS, "is the summary of the current run", _PARTS),
    "finish": Name(WORKS, "ends the run", _OWN),
    "join": Name(WORKS, "ends the run, as `finish`", _PARTS),
    "sweep": Name(WORKS, "creates a sweep", _OWN),
    "agent": Name(WORKS, "runs a function or the program of a sweep", _OWN),
    "Api": Name(WORKS, "reads sweeps and runs from the storage", "lightsweep.wandb.api"),
    "define_metric": Name(
        WORKS, "chooses what the summary keeps of a metric: its last, smallest, largest, mean or first value", _OWN
    ),
    "mark_preempting": Name(
        WORKS, "gives the run back if its process then fails or is killed: an agent retries it", _PARTS
    ),
    "Config": Name(WORKS, "is the class of `config`", _PARTS),
    "Run": Name(WORKS, "is the class of runs", _OWN),
    "Settings": Name(WORKS, "takes any setting; those for the service do nothing", _PARTS),
    "Error": Name(WORKS, "is the root of all errors of lightsweep", _ERRORS),
    "CommError": Name(WORKS, "is an error that `Api` raises if a run, a sweep or a file does not exist", _ERRORS),
    "UsageError": Name(WORKS, "is raised if a call has no meaning", _OWN),
    # media
    "Image": Name(FILE, "PNG of an array, a tensor, a PIL image, a figure of matplotlib, or a path", _MEDIA),
    "Video": Name(FILE, "GIF of an array (with Pillow) or the file of a path", _MEDIA),
    "Audio": Name(FILE, "WAV of an array, or the file of a path", _MEDIA),
    "Html": Name(FILE, "HTML; the report names the file and never runs it", _MEDIA),
    "Histogram": Name(FILE, "JSON with counts and edges", _MEDIA),
    "Plotly": Name(FILE, "JSON of a figure of plotly", _MEDIA),
    "Object3D": Name(FILE, "JSON of a point cloud, or the file of a path", _SCENES),
    "Molecule": Name(FILE, "the file of a path or of an open file", _SCENES),
    "Bokeh": Name(FILE, "HTML or JSON of a figure of bokeh", _SCENES),
    "Graph": Name(NOTHING, "takes a model and draws nothing", _SCENES),
    "Classes": Name(WORKS, "names the classes of masks and boxes; kept in the caption file of an image", _SCENES),
    "box3d": Name(WORKS, "makes a box for `Object3D`", _SCENES),
    # tables
    "Table": Name(FILE, "CSV of the rows; images in cells are files beside it", "lightsweep.wandb.table"),
    "JoinedTable": Name(REFUSED, "join the tables yourself, for example with `pandas.merge`, and log one `Table`"),
    "PartitionedTable": Name(REFUSED, "log one `Table` with the rows of all parts"),
    "plot": Name(
        FILE,
        "`line`, `scatter`, `bar`, `histogram`, `line_series`, `confusion_matrix`, `roc_curve`, `pr_curve`: "
        "tables that the report draws",
        "lightsweep.wandb.plot",
    ),
    "plot_table": Name(FILE, "the table of a chart of your own", "lightsweep.wandb.plot"),
    # artifacts
    "Artifact": Name(FILE, "files and references under a name, with versions and aliases", _ART),
    "log_artifact": Name(FILE, "copies the files to the directory of the sweep's runs", _PARTS),
    "use_artifact": Name(WORKS, "finds an artifact that a run has logged here", _PARTS),
    "link_artifact": Name(FILE, "logs the artifact under a second name", _PARTS),
    "log_model": Name(FILE, "logs a file or a folder as an artifact of type `model`", _PARTS),
    "use_model": Name(WORKS, "returns the path of the files of a model that a run has logged", _PARTS),
    "link_model": Name(FILE, "logs the model under a second name", _PARTS),
    "save": Name(FILE, "copies the files that match to the run's directory", _OWN),
    "restore": Name(WORKS, "opens a file of the run's directory, or of another run's", _PARTS),
    "log_code": Name(FILE, "copies the program's source files to the run's directory", _PARTS),
    # people and the terminal
    "termlog": Name(WORKS, "prints a line on stderr", _PARTS),
    "termwarn": Name(WORKS, "prints a warning on stderr", _PARTS),
    "termerror": Name(WORKS, "prints an error on stderr", _PARTS),
    "alert": Name(WORKS, "prints the alert on stderr; no mail is sent", _OWN),
    "AlertLevel": Name(WORKS, "has `INFO`, `WARN` and `ERROR`", _PARTS),
    # account and service
    "login": Name(NOTHING, "returns `True`: a sweep needs no account", _OWN),
    "setup": Name(NOTHING, "needs no set-up", _PARTS),
    "teardown": Name(NOTHING, "ends the run; there is no service to end", _PARTS),
    "require": Name(NOTHING, "every feature that exists is on", _PARTS),
    "ensure_configured": Name(NOTHING, "needs no set-up", _PARTS),
    "watch": Name(NOTHING, "gradients and parameters are not kept", _OWN),
    "unwatch": Name(NOTHING, "see `watch`", _OWN),
    "sklearn": Name(
        NOTHING, "every `plot_...` is accepted; log the numbers, or `plot.confusion_matrix` and the like", _PARTS
    ),
    "integration": Name(WORKS, "has W&B's callbacks for trainers, see the table below", _TRAINERS),
    "keras": Name(
        WORKS,
        "`WandbMetricsLogger`, `WandbModelCheckpoint`, `WandbEvalCallback` and `WandbCallback` report each epoch",
        f"{_TRAINERS}.keras",
    ),
    "xgboost": Name(WORKS, "`WandbCallback` reports each boosting round", f"{_TRAINERS}.xgboost"),
    "lightgbm": Name(
        WORKS, "`wandb_callback` reports each boosting round; `log_summary` keeps the best", f"{_TRAINERS}.lightgbm"
    ),
    "catboost": Name(
        WORKS, "`WandbCallback` reports each round; `log_summary` keeps the best", f"{_TRAINERS}.catboost"
    ),
    "tensorboard": Name(NOTHING, "`patch` is accepted; log the sweep's metric by `log`", _PARTS),
    "tensorflow": Name(NOTHING, "hooks are accepted; log the sweep's metric by `log`", _PARTS),
    # modules
    "util": Name(WORKS, "has `generate_id`, `make_artifact_name_safe` and `json_friendly`", _PARTS),
    "sdk": Name(WORKS, "has the classes that annotations name: `sdk.wandb_run.Run`, `sdk.wandb_config.Config`", _PARTS),
    "wandb_run": Name(WORKS, "has `Run`", _PARTS),
    "data_types": Name(WORKS, "has the media, `Table` and `Histogram`", _PARTS),
    "errors": Name(WORKS, "has `Error`, `CommError` and `UsageError`", _ERRORS),
    "env": Name(NOTHING, "names of variables for the service", _PARTS),
    "apis": Name(WORKS, "has `public.Api`", _PARTS),
    # refused
    "controller": Name(REFUSED, "run `lightsweep agent ID`: agents choose the runs of a sweep themselves"),
    "attach": Name(REFUSED, "pass the run itself, or call `init` in the process of the run"),
    "sync": Name(REFUSED, "nothing needs syncing: everything is on this machine"),
    "launch": Name(
        REFUSED, "start agents with `lightsweep launch ID --on local`, or on your cluster, such as `--on slurm`"
    ),
    "docker": Name(REFUSED, "start `lightsweep agent ID` inside of the container"),
    "gym": Name(REFUSED, _GYM),
    "fastai": Name(REFUSED, _FASTAI),
    "beta": Name(REFUSED, "use the names without `beta`"),
    "jobs": Name(REFUSED, "start agents with `lightsweep launch ID --on local`"),
    "sagemaker_auth": Name(REFUSED, "leave it out: a sweep needs no account"),
}
"""Every name of ``wandb`` that scripts use, in the order of the docs."""

RUN_NAMES: dict[str, Name] = {
    "log": Name(
        WORKS,
        "see `wandb.log`; `step` is that of the history and the files; the sweep counts logs of its metric",
    ),
    "config": Name(WORKS, "see `wandb.config`"),
    "config_static": Name(WORKS, "a copy of the config"),
    "summary": Name(
        WORKS,
        "the last value of each number, and what the script writes to it, of any kind that JSON has; kept in "
        "`summary.json` of the run's directory",
    ),
    "id": Name(WORKS, "the run's id"),
    "name": Name(WORKS, "the run's name; may be set"),
    "notes": Name(WORKS, "as given to `init`; may be set"),
    "tags": Name(WORKS, "as given to `init`; may be set"),
    "group": Name(WORKS, "as given to `init`"),
    "job_type": Name(WORKS, "as given to `init`"),
    "project": Name(WORKS, "as given to `init`, else by `WANDB_PROJECT`, else `lightsweep`"),
    "entity": Name(WORKS, "as given to `init`, else by `WANDB_ENTITY`, else the name of the user"),
    "path": Name(WORKS, "`entity/project/id`"),
    "url": Name(WORKS, "a `file://` address of the run's directory"),
    "get_url": Name(WORKS, "see `url`"),
    "project_url": Name(WORKS, "see `url`"),
    "get_project_url": Name(WORKS, "see `url`"),
    "sweep_url": Name(WORKS, "a `file://` address of the sweep's directory; `None` without a sweep"),
    "get_sweep_url": Name(WORKS, "see `sweep_url`"),
    "sweep_id": Name(WORKS, "the sweep's id; `None` without a sweep"),
    "dir": Name(WORKS, "the run's directory, as a text that also joins by `/`"),
    "step": Name(WORKS, "the step of the next log: one more than the number of logs, or what `log(step=)` says"),
    "start_time": Name(WORKS, "the time of `init`, in seconds since 1970"),
    "starting_step": Name(WORKS, "0, or after the last step of earlier attempts"),
    "resumed": Name(WORKS, "whether this is another attempt at a run that was cut off"),
    "disabled": Name(WORKS, "`False`"),
    "offline": Name(WORKS, "`True`: nothing leaves the machine"),
    "settings": Name(WORKS, "as given to `init`; those for the service do nothing"),
    "finish": Name(WORKS, "see `wandb.finish`"),
    "join": Name(WORKS, "see `wandb.finish`"),
    "define_metric": Name(WORKS, "see `wandb.define_metric`"),
    "mark_preempting": Name(WORKS, "see `wandb.mark_preempting`"),
    "status": Name(NOTHING, "nothing waits to be sent"),
    "log_artifact": Name(FILE, "see `wandb.log_artifact`"),
    "upsert_artifact": Name(FILE, "as `log_artifact`"),
    "finish_artifact": Name(FILE, "as `log_artifact`"),
    "use_artifact": Name(WORKS, "see `wandb.use_artifact`"),
    "link_artifact": Name(FILE, "see `wandb.link_artifact`"),
    "log_model": Name(FILE, "see `wandb.log_model`"),
    "use_model": Name(WORKS, "see `wandb.use_model`"),
    "link_model": Name(FILE, "see `wandb.link_model`"),
    "save": Name(FILE, "see `wandb.save`"),
    "restore": Name(WORKS, "see `wandb.restore`"),
    "log_code": Name(FILE, "see `wandb.log_code`"),
    "alert": Name(WORKS, "see `wandb.alert`"),
    "watch": Name(NOTHING, "see `wandb.watch`"),
    "unwatch": Name(NOTHING, "see `wandb.watch`"),
    "display": Name(NOTHING, "returns `False`: there is no page to show"),
    "to_html": Name(NOTHING, "returns an empty text"),
}
"""Every name of a run that scripts use."""


INTEGRATIONS: dict[str, Name] = {
    "keras": NAMES["keras"],
    "xgboost": NAMES["xgboost"],
    "lightgbm": NAMES["lightgbm"],
    "catboost": NAMES["catboost"],
    "sb3": Name(WORKS, "`WandbCallback` reports all that stable-baselines3 logs, under its names", f"{_TRAINERS}.sb3"),
    "sklearn": NAMES["sklearn"],
    "tensorboard": NAMES["tensorboard"],
    "tensorflow": NAMES["tensorflow"],
    "fastai": NAMES["fastai"],
    "ultralytics": Name(REFUSED, _YOLO),
    "yolov8": Name(REFUSED, _YOLO),
    "gym": NAMES["gym"],
    "lightning": Name(REFUSED, "use Lightning's own `WandbLogger`; with Fabric call `log` beside `fabric.log`"),
    "torch": Name(REFUSED, "leave it out: gradients and parameters are not kept"),
    "diffusers": Name(REFUSED, _PIPELINE),
    "huggingface": Name(REFUSED, _PIPELINE),
    "openai": Name(REFUSED, f"nothing of a service is traced; {_BY_LOG}"),
    "cohere": Name(REFUSED, f"nothing of a service is traced; {_BY_LOG}"),
    "langchain": Name(REFUSED, f"nothing of a chain is traced; {_BY_LOG}"),
    "dspy": Name(REFUSED, f"nothing of a program is traced; {_BY_LOG}"),
    "weave": Name(REFUSED, f"nothing is traced; {_BY_LOG}"),
    "prodigy": Name(REFUSED, "log the annotations as a `Table`"),
    "sacred": Name(REFUSED, f"leave the observer out, and {_BY_LOG}"),
    "metaflow": Name(REFUSED, f"leave the decorator out, and {_BY_LOG} in the step"),
    "kfp": Name(REFUSED, f"leave the decorator out, and {_BY_LOG} in the component"),
    "sagemaker": Name(REFUSED, "leave it out: a sweep needs no account"),
}
"""The modules of ``wandb.integration``, with W&B's callbacks for trainers first."""


_CALLBACKS = {name: f"{_TRAINERS}.{name}" for name in ("catboost", "keras", "lightgbm", "xgboost")}

MODULES: dict[str, str] = {
    "apis": f"{_PARTS}:apis",
    "apis.public": "lightsweep.wandb.api",
    "data_types": f"{_PARTS}:data_types",
    "env": f"{_PARTS}:env",
    "errors": _ERRORS,
    "integration": _TRAINERS,
    "integration.keras.callbacks": f"{_TRAINERS}.keras",
    "integration.sb3": f"{_TRAINERS}.sb3",
    "integration.sklearn": f"{_PARTS}:sklearn",
    "plot": "lightsweep.wandb.plot",
    "sdk": _PARTS,
    "sklearn": f"{_PARTS}:sklearn",
    "util": f"{_PARTS}:util",
    "wandb_run": f"{_PARTS}:wandb_run",
    **_CALLBACKS,
    **{f"integration.{name}": home for name, home in _CALLBACKS.items()},
}
"""The modules that ``import`` finds below ``wandb``, each with the module that has its names, or ``MODULE:NAME``."""


def module_behind(name: str) -> Any:
    """Return the module that has the names of a module of `MODULES`."""
    home, _, part = MODULES[name].partition(":")
    module = importlib.import_module(home)
    return getattr(module, part) if part else module


def missing_module(name: str) -> str:
    """Return the message for a module that the stand-in lacks, such as ``wandb.integration.fastai``."""
    below = name.removeprefix("wandb.").removeprefix("integration.")
    known = INTEGRATIONS.get(below.partition(".")[0]) or NAMES.get(name.removeprefix("wandb.").partition(".")[0])
    why = f": {known.says}" if known is not None and known.kind == REFUSED else ", for which lightsweep stands in here"
    return f"lightsweep has no module {name!r}{why}"


def find(name: str) -> Any:
    """Return the object behind ``wandb.NAME``.

    Raises:
        AttributeError: W&B's name is refused, with what to do instead, or is not in the table.
    """
    known = NAMES.get(name)
    if known is None:
        raise AttributeError(f"lightsweep has no {name!r}")
    if known.kind == REFUSED:
        raise AttributeError(f"lightsweep has no {name!r}: {known.says}")
    module = importlib.import_module(known.home)
    return module if known.home.endswith(f".{name}") else getattr(module, name)
