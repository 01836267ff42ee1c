"""The names that W&B's runs have, for the runs of lightsweep: labels, places, files, media and artifacts."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any

from lightsweep.client.history import last_step
from lightsweep.errors import NotFoundError, UsageError
from lightsweep.wandb.summary import LABELS, MetricRules, Summary, read_summary, write_json, write_summary

if TYPE_CHECKING:
    from lightsweep.client.run_config import RunConfig
    from lightsweep.wandb.artifacts import Artifact
    from lightsweep.wandb.files import MediaStore


_OURS = {"history.jsonl", "output.log", "parameters.json", "resume", LABELS, "summary.json"}
_NO_SOURCES = {"__pycache__", "lightsweep_runs", "node_modules", "site-packages", "wandb"}
_MOST_SOURCES = 1000
_PAUSE_SECONDS = 1.0


class RunDirectory(str):
    """A directory, as a text, as W&B's ``run.dir`` is; it also joins by ``/`` and has the methods of a path."""

    __slots__ = ()

    def __truediv__(self, name: str | os.PathLike[str]) -> Path:
        return Path(self, name)

    def __eq__(self, other: object) -> bool:
        return Path(self) == other if isinstance(other, PurePath) else str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    def __getattr__(self, name: str) -> Any:
        return getattr(Path(self), name)


class RunNames:
    """The mixin of ``Run`` with W&B's names.

    Attributes:
        name: The run's name; may be set.
        notes: A text; may be set.
        group: A word; as given to ``init``, as ``job_type``, ``settings`` and ``tags``.
        start_time: The time of ``init``, in seconds since 1970.
        starting_step: 0, or after the last step of earlier attempts.
    """

    id: str
    sweep_id: str | None
    config: RunConfig
    ended: bool
    _agent: Any
    on_end: Callable[[Callable[[], None]], None]
    _directory: Path

    if TYPE_CHECKING:

        @property
        def rank(self) -> int:
            """The rank of this process."""

        def _ask(self, agent: Any, message: Any) -> Any:
            """Send a message to the agent."""

    disabled = False
    offline = True

    def _set_up(self, *, resumed: bool) -> None:
        self.start_time = time.time()
        self.summary = Summary(read_summary(self._directory) if resumed else {}, self._summary_changed)
        self.group: str | None = os.environ.get("WANDB_RUN_GROUP")
        self.job_type: str | None = os.environ.get("WANDB_JOB_TYPE")
        self.notes: str | None = os.environ.get("WANDB_NOTES")
        self.settings: Any = SimpleNamespace()
        self._tags: tuple[str, ...] = tuple(filter(None, os.environ.get("WANDB_TAGS", "").split(",")))
        self._project = os.environ.get("WANDB_PROJECT") or "lightsweep"
        self._entity = os.environ.get("WANDB_ENTITY") or os.environ.get("USER") or "user"
        self._step = 0
        self.starting_step = last_step(self._directory) + 1 if resumed else 0
        self._rules: MetricRules | None = None
        self._media: MediaStore | None = None
        self._summary_at = float("-inf")
        self._written = False
        self._labelled = False

    def take_keywords(self, given: Mapping[str, Any]) -> None:
        """Take the labels that were given to ``init``; every other keyword means nothing here."""
        for name in ("group", "job_type", "notes", "settings"):
            if given.get(name) is not None:
                setattr(self, name, given[name])
        if given.get("tags") is not None:
            self.tags = given["tags"]
        if given.get("name"):
            self.name = str(given["name"])
        self._project = str(given.get("project") or self._project)
        self._entity = str(given.get("entity") or self._entity)
        if self.sweep_id and not self.rank:
            self._write_labels()
            if not self._labelled:
                self._labelled = True
                self.on_end(self._write_labels)  # the script may have changed them

    def _write_labels(self) -> None:
        """Write the labels and the config to the run's directory, where `Api` finds them."""
        from lightsweep.client.run_config import as_json

        labels = {name: getattr(self, name) for name in ("name", "notes", "group", "job_type")}
        with suppress(OSError):
            config = as_json(_unread(self.config))
            write_json(Path(self.dir, LABELS), {**labels, "tags": list(self._tags), "config": config})

    # --- labels and places

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags; may be set to any list of texts, or ``run.tags += ("x",)``."""
        return self._tags

    @tags.setter
    def tags(self, values: Iterable[str]) -> None:
        self._tags = (values,) if isinstance(values, str) else tuple(map(str, values))

    @property
    def project(self) -> str:
        """The project: of ``init``, else of ``WANDB_PROJECT``."""
        return self._project

    @property
    def entity(self) -> str:
        """The entity: of ``init``, else of ``WANDB_ENTITY``, else the user."""
        return self._entity

    @property
    def path(self) -> str:
        """``entity/project/id``."""
        return f"{self._entity}/{self._project}/{self.id}"

    @property
    def dir(self) -> RunDirectory:
        """The run's own directory, absolute; it exists."""
        self._directory.mkdir(parents=True, exist_ok=True)
        return RunDirectory(self._directory)

    @property
    def url(self) -> str:
        """The address of the run's directory."""
        return self._directory.as_uri()

    project_url = url

    @property
    def sweep_url(self) -> str | None:
        """The address of the sweep's directory; ``None`` without a sweep."""
        return self._directory.parent.as_uri() if self.sweep_id else None

    def get_url(self) -> str:
        """Return the address of the run's directory."""
        return self.url

    get_project_url = get_url

    def get_sweep_url(self) -> str | None:
        """Return the address of the sweep's directory; ``None`` without a sweep."""
        return self.sweep_url

    def project_name(self) -> str:
        """Return the project."""
        return self._project

    @property
    def config_static(self) -> dict[str, Any]:
        """A copy of the config."""
        return self.config.as_dict()

    @property
    def step(self) -> int:
        """The step of the next log: what ``log(step=...)`` said last, or one more than the number of logs."""
        return self._step

    # --- metrics and the summary

    def define_metric(
        self, name: str = "", step_metric: Any = None, summary: str | None = None, goal: str | None = None, **_: Any
    ) -> Any:
        """Choose what the summary keeps of a metric.

        With ``summary="max"`` it keeps ``{"max": value}``, and ``NAME.max`` is reported beside each log of the metric.
        So a sweep file may name ``NAME.max``; a sweep on ``NAME`` still compares the values that were logged.

        Args:
            name: The metric, or a pattern that ends in ``*``.
            step_metric: Accepted and ignored, as is every other keyword.
            summary: See `MetricRules.define`.
            goal: ``minimize`` or ``maximize``, for ``summary="best"``.
        """
        self._rules = self._rules or MetricRules()
        self._rules.define(str(name), summary, {"min": "minimize", "max": "maximize"}.get(goal or "", goal))
        return SimpleNamespace(name=name, step_metric=step_metric, summary=summary, goal=goal)

    def _summarized(self, found: dict[str, float]) -> dict[str, float]:
        """Put numbers into the summary by the rules of ``define_metric``; return them with those that are derived."""
        assert self._rules is not None
        summary, more = self._rules.derived(found)
        self.summary.take(summary)
        return {**found, **more}

    def _summary_changed(self) -> None:
        """Write the summary, at most once a second; the end of the run writes it once more."""
        self._written = True
        if time.monotonic() - self._summary_at >= _PAUSE_SECONDS:
            self._summary_at = time.monotonic()
            self._write_summary()

    def _write_summary(self) -> None:
        if self._written and not self.rank:
            from lightsweep.client.run_config import as_json

            for name, value in list(self.summary.items()):
                if callable(getattr(value, "parts", None)):
                    kept = self._store().keep(name, [value], self._step)
                    self.summary.take(
                        {name: {"_type": f"{value.kind}-file", "files": kept[0]["files"]} if kept else None}
                    )
            try:
                write_summary(self.dir, as_json(self.summary._as_dict()))
            except OSError as error:
                print(f"lightsweep: the summary was not written: {error}", file=sys.stderr)

    # --- media

    def _store(self) -> MediaStore:
        if self._media is None:
            from lightsweep.wandb.files import MediaStore

            self._media = MediaStore(self._directory)
        return self._media

    def _keep(self, values: Mapping[str, Any], step: int) -> None:
        """Keep texts and booleans in the summary, and media as files; ignore other values."""
        if self.rank:
            return
        from lightsweep.wandb.table import as_media

        for name, value in values.items():
            if isinstance(value, (str, bool)):
                self.summary.take({name: value})
            elif media := as_media(value):
                self._store().keep(name, media, step)

    # --- files

    def save(self, glob_str: Any = None, base_path: Any = None, policy: str = "live", **_: Any) -> list[str]:
        """Copy the files that match to the run's directory; with another policy than ``now`` again at the end.

        Args:
            glob_str: A path or a pattern.
            base_path: The folder below which they keep their paths; by default the folder of the pattern.
            policy: ``live``, ``end`` or ``now``.

        Returns:
            The paths of the copies.
        """
        if glob_str is None or self.rank:
            return []
        pattern = str(Path(glob_str).absolute())
        base = Path(base_path).absolute() if base_path else Path(pattern).parent
        if policy != "now":
            self.on_end(lambda: self._copy_again(pattern, base))
        return self._copy(pattern, base)

    def _copy_again(self, pattern: str, base: Path) -> None:
        with suppress(OSError):
            self._copy(pattern, base)

    def _copy(self, pattern: str, base: Path) -> list[str]:
        import glob  # here, since a training script pays for each import
        import shutil

        copies = []
        for file in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 - an absolute pattern
            target = self.dir / os.path.relpath(file, base)
            if not Path(file).is_file() or not target.resolve().is_relative_to(Path(self.dir).resolve()):
                continue
            if target.name in _OURS and target.parent == self.dir:
                print(f"lightsweep: {target.name} was not saved: the run has a file of that name", file=sys.stderr)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(shutil.SameFileError):
                shutil.copy2(file, target)
            copies.append(str(target))
        return copies

    def restore(
        self, name: str, run_path: str | None = None, replace: bool = False, root: Any = None
    ) -> IO[str] | None:
        """Open a file of this run's directory, or of another run's; ``None`` if there is no such file.

        Args:
            name: Its path in the run's directory.
            run_path: ``entity/project/id``, of which the id counts.
            replace: Accepted and ignored.
            root: A folder to which the file is copied first.
        """
        import glob  # here, see above
        import shutil

        del replace
        folder = Path(self.dir)
        if run_path:
            wanted = run_path.rpartition("/")[2]
            places = [folder.parent / wanted, *folder.parent.parent.glob(f"*/{glob.escape(wanted)}")]
            folder = next((place for place in places if place.is_dir()), folder.parent / wanted)
        if not (folder / name).is_file():
            return None
        path = folder / name
        if root is not None:
            target = Path(root, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            path = Path(shutil.copyfile(path, target))
        return path.open(errors="surrogateescape")

    def log_code(
        self,
        root: Any = ".",
        name: str | None = None,
        include_fn: Callable[..., bool] | None = None,
        exclude_fn: Callable[..., bool] | None = None,
    ) -> Artifact | None:
        """Keep the source files below a folder as an artifact of type ``code``; runs with the same code share it.

        Args:
            root: The folder.
            name: The artifact's name; of the project by default.
            include_fn: Takes a path and tells whether it is kept; by default those that end in ``.py``.
            exclude_fn: Takes a path and tells whether it is left out.
        """
        from lightsweep.wandb.artifacts import Artifact
        from lightsweep.wandb.files import safe_name

        wanted = include_fn or (lambda path: path.endswith(".py"))
        artifact = Artifact(safe_name(name or f"source-{self._project}").replace("/", "_"), "code")
        count = 0
        for above, folders, files in os.walk(root):
            folders[:] = [
                each
                for each in sorted(folders)
                if each not in _NO_SOURCES and not each.startswith(".") and not Path(above, each, "pyvenv.cfg").exists()
            ]
            for file in sorted(files):
                path = str(Path(above, file))
                if count < _MOST_SOURCES and wanted(path) and not (exclude_fn is not None and exclude_fn(path)):
                    artifact.add_file(path, os.path.relpath(path, root))
                    count += 1
        return self.log_artifact(artifact) if count else None

    # --- artifacts

    def log_artifact(
        self,
        artifact_or_path: Any,
        name: str | None = None,
        type: str | None = None,  # noqa: A002 - W&B's name
        aliases: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
    ) -> Artifact:
        """Keep an artifact, or a file or folder as one, in the run's directory; later runs find it by its name.

        Args:
            artifact_or_path: The artifact, or a path.
            name: The name of a path's artifact; ``run-ID-FILE`` by default.
            type: Its type; ``unspecified`` by default.
            aliases: Names for this version beside ``latest``.
            tags: Words.
        """
        from lightsweep.wandb.artifacts import Artifact, log_artifact
        from lightsweep.wandb.files import safe_name

        artifact = artifact_or_path
        if not isinstance(artifact, Artifact):
            path = Path(os.fspath(artifact_or_path))
            label = name or safe_name(f"run-{self.id}-{path.name}").replace("/", "_")
            artifact = Artifact(label, type or "unspecified")
            if path.is_dir():
                artifact.add_dir(path)
            else:
                artifact.add_file(path)
        artifact.aliases += [aliases] if isinstance(aliases, str) else list(aliases or ())
        artifact.tags += list(tags or ())
        return artifact if self.rank else log_artifact(artifact, self.dir, self.id)

    upsert_artifact = finish_artifact = log_artifact

    def use_artifact(
        self,
        artifact_or_name: Any,
        type: str | None = None,  # noqa: A002 - W&B's name
        aliases: Sequence[str] | None = None,
        use_as: str | None = None,
    ) -> Artifact:
        """Return an artifact by ``name:alias``, or log one that is new and return it.

        Raises:
            NotFoundError: No run has logged it below ``lightsweep_runs`` of this directory.
        """
        from lightsweep.wandb.artifacts import RUNS, Artifact, find_artifact, records_home

        del use_as
        if isinstance(artifact_or_name, Artifact):
            return (
                artifact_or_name if artifact_or_name.version else self.log_artifact(artifact_or_name, aliases=aliases)
            )
        return find_artifact(str(artifact_or_name), [records_home(self._directory), Path(RUNS).absolute()], type)

    def link_artifact(self, artifact: Artifact, target_path: str, aliases: Sequence[str] | None = None) -> Artifact:
        """Keep an artifact under a second name too, the last part of ``target_path``."""
        if not artifact.version:
            artifact = self.log_artifact(artifact)
        if not self.rank:
            artifact.link(target_path, aliases)
        return artifact

    def log_model(self, path: Any, name: str | None = None, aliases: Sequence[str] | None = None) -> Artifact:
        """Keep a file or a folder as an artifact of type ``model``."""
        return self.log_artifact(path, name, "model", aliases)

    def use_model(self, name: str) -> str:
        """Return the path of the file of a model, or of its folder if it has several files."""
        found = self.use_artifact(name)
        if found.type != "model" and "model" not in found.type:
            raise UsageError(f"artifact {found.name} is of type {found.type!r}, not 'model'; use use_artifact")
        return found.file() if found.file_count == 1 else found.download()

    def link_model(
        self, path: Any, registered_model_name: str, name: str | None = None, aliases: Sequence[str] | None = None
    ) -> Artifact:
        """Keep a model, and keep it under the name ``registered_model_name`` too."""
        with suppress(NotFoundError, OSError):
            return self.link_artifact(self.use_artifact(str(name), "model"), registered_model_name, aliases)
        return self.link_artifact(self.log_model(path, name), registered_model_name, aliases)

    # --- agent and people

    def mark_preempting(self) -> None:
        """Have the run retried if its process now fails, as by a signal that it handles; else nothing changes.

        A process that is killed is retried in any case.
        """
        if self._agent is not None and not self.ended:
            self._ask(self._agent, {"metrics": {}, "preempting": True})

    def alert(self, title: str = "", text: str = "", level: Any = None, wait_duration: Any = None) -> None:
        """Print an alert on stderr; no mail is sent. ``wait_duration`` is accepted and ignored."""
        del wait_duration
        if not self.rank:
            name = str(getattr(level, "value", level) or "INFO")
            print(f"lightsweep: alert ({name}): {title}{f': {text}' if text else ''}", file=sys.stderr)

    def display(self, *_: Any, **__: Any) -> bool:
        """Return False: there is no page to show."""
        return False

    def to_html(self, *_: Any, **__: Any) -> str:
        """Return an empty text: there is no page to show."""
        return ""

    def status(self) -> Any:
        """Return that nothing waits to be sent."""
        return SimpleNamespace(sync_items_total=0, sync_items_pending=0, sync_time=None)

    def watch(self, *_: Any, **__: Any) -> None:
        """Do nothing: gradients and parameters are not kept."""

    unwatch = watch


def _unread(config: dict[str, Any]) -> dict[str, Any]:
    """Return a plain copy of a config without marking anything as read."""
    return {name: _unread(value) if isinstance(value, dict) else value for name, value in dict.items(config)}
