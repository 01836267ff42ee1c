"""``lightsweep.Sweep``: a sweep as users see it, with figures and tables of its runs."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightsweep import controller
from lightsweep.analysis import Importance, dataframe, importance, required
from lightsweep.controller import SweepRun, SweepState, changes
from lightsweep.controller.ranking import pareto_front
from lightsweep.controller.summary import summarize
from lightsweep.schema import SweepConfig
from lightsweep.storage import Storage

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

__all__ = ["Sweep"]


class Sweep:
    """A sweep in a storage: change it, and see what its runs have found.

    Made by :meth:`create`, :meth:`load` and :meth:`all`. Everything that it returns is read from the storage at the
    call. Safe from several threads.

    Raises:
        StorageUnavailableError: In every method: the database does not answer.
        NotFoundError: In every method: the sweep was deleted.
    """

    def __init__(self, stored: controller.Sweep) -> None:
        self._stored = stored

    @classmethod
    def create(
        cls,
        config: SweepConfig | str | Path | Mapping[str, Any],
        *,
        prior_runs: Sequence[str] = (),
        storage: Storage | str | None = None,
    ) -> Sweep:
        """Put a new sweep into a storage.

        Args:
            config: The path of a YAML file, a dict, or a loaded config.
            prior_runs: Sweeps in the same storage, or runs of them as ``SWEEP/RUN``, that bayes learns from, in
                addition to those that the config names.
            storage: A storage URL; ``LIGHTSWEEP_STORAGE``, or ``lightsweep.db`` here, by default.

        Raises:
            ConfigError: The config is wrong; nothing was written.
            NotFoundError: A prior run does not exist; nothing was written.
            UsageError: The sweep cannot learn from the prior runs; nothing was written.
            StorageError: The storage cannot be opened.
        """
        return cls(controller.Sweep.create(config, prior_runs=prior_runs, storage=storage))

    @classmethod
    def load(cls, sweep_id: str, *, storage: Storage | str | None = None) -> Sweep:
        """Find a sweep by its id.

        Raises:
            NotFoundError: The storage has no such sweep; the message names the closest id.
            StorageError: The storage or the sweep cannot be read.
        """
        return cls(controller.Sweep.load(sweep_id, storage=storage))

    @classmethod
    def all(cls, *, storage: Storage | str | None = None) -> list[Sweep]:
        """Return every sweep of a storage, the oldest first; a sweep that cannot be read is logged and left out."""
        return [cls(stored) for stored in controller.Sweep.all(storage=storage)]

    @property
    def id(self) -> str:
        """Eight letters and digits; the name of the Optuna study."""
        return self._stored.id

    @property
    def storage(self) -> Storage:
        """The storage that the sweep is in; ``str()`` of it is its URL without the password."""
        return self._stored.storage

    @property
    def config(self) -> SweepConfig:
        """The config in force: as created, or as last updated."""
        self._stored.refresh()
        return self._stored.config

    @property
    def state(self) -> SweepState:
        """The state of the sweep: ``running``, ``paused``, ``stopped``, ``cancelled`` or ``finished``."""
        return self._stored.state

    @property
    def runs(self) -> list[SweepRun]:
        """Every run, by id; prior runs included."""
        return self._stored.runs

    @property
    def best_run(self) -> SweepRun | None:
        """The run with the best value of the metric; ``None`` if no run has one.

        Finished runs and runs that were stopped early come first; others count only without such runs. Of equal runs
        the earliest is the best. Prior runs do not count.
        """
        return self._stored.best_run

    @property
    def best_runs(self) -> list[SweepRun]:
        """The Pareto front: the runs that no other run beats in all metrics, the best in the first metric first.

        Runs that finished or were stopped early count, with the last value of each metric. With one metric it is the
        best of these; the list is empty before one has a value.
        """
        return pareto_front(self.runs, self._stored.config).best

    def pause(self) -> None:
        """Start no new runs until :meth:`resume`; running ones continue.

        Like :meth:`resume`, :meth:`stop` and :meth:`cancel`, raises ``UsageError`` if the sweep has ended.
        """
        changes.request(self._stored, "pause")

    def resume(self) -> None:
        """Continue after :meth:`pause` or :meth:`stop`."""
        changes.request(self._stored, "resume")

    def stop(self) -> None:
        """Start no new runs; agents end when the running ones have finished."""
        changes.request(self._stored, "stop")

    def cancel(self) -> None:
        """Start no new runs, and kill the running ones. Final."""
        changes.request(self._stored, "cancel")

    def retry(self, *runs: str, failed: bool = False) -> list[str]:
        """Let agents retry runs that failed or were killed; return their ids.

        Args:
            runs: Ids of runs.
            failed: Retry also every run that ended without a result, except those that agents will retry anyway.

        Raises:
            NotFoundError: No such run.
            UsageError: A run has not failed, or the sweep was cancelled.
        """
        return changes.retry_runs(self._stored, *runs, failed=failed)

    def update(self, config: SweepConfig | str | Path | Mapping[str, Any]) -> None:
        """Change ``run_cap``, ``early_terminate``, the metric's target or the values of a grid; runs keep theirs.

        Raises:
            ConfigError: The config is wrong.
            UsageError: The config changes something else; the message names each such key.
        """
        changes.update_config(self._stored, config)

    def add_prior_runs(self, *names: str) -> tuple[int, int]:
        """Let bayes learn from runs of other sweeps in the same storage, each named ``SWEEP`` or ``SWEEP/RUN``.

        Returns:
            The number of runs that were added, and of those that could not be used: without a value of the metric, or
            with parameters outside of this sweep's space.

        Raises:
            NotFoundError: No such sweep or run.
            UsageError: The sweep cannot learn from them.
        """
        return self._stored.add_prior_runs(*names)

    def __repr__(self) -> str:
        return repr(self._stored)

    def dataframe(self) -> pd.DataFrame:
        """Every run as of now, one row each; see :func:`lightsweep.analysis.dataframe`.

        Raises:
            UsageError: pandas is not installed.
            StorageUnavailableError: The database does not answer.
        """
        return dataframe(self.runs, self._stored.config)

    def importance(self, metric: str | None = None, *, at: int | None = None) -> Importance:
        """Compute the importance of each parameter for a metric; see :func:`lightsweep.analysis.importance`.

        Args:
            metric: Any logged metric; the one of the sweep by default.
            at: Compare the runs after this number of iterations.

        Raises:
            UsageError: The metric was never logged, ``at`` is out of range, or scikit-learn is not installed.
            StorageUnavailableError: The database does not answer.
        """
        return importance(self.runs, self._stored.config, metric, at)

    def plot_parallel(self) -> go.Figure:
        """Draw parallel coordinates: each run is a line over the parameters, coloured by the metric.

        Each plot is a plotly figure of the runs as of now; a figure without anything to show says why.

        Raises:
            UsageError: plotly is not installed.
            StorageUnavailableError: The database does not answer.
        """
        return self._figure("parallel")

    def plot_importance(self) -> go.Figure:
        """Draw importance and correlation of each parameter for the metric."""
        return self._figure("importance")

    def plot_history(self) -> go.Figure:
        """Draw the value of every run in the order of their start, and the best so far."""
        return self._figure("history")

    def plot_curves(self) -> go.Figure:
        """Draw the learning curve of each run, with the bands and the stopped runs."""
        return self._figure("curves")

    def _figure(self, name: str) -> go.Figure:
        required("plotly")
        from lightsweep.report import FIGURES, sweep_data

        self._stored.refresh()
        return FIGURES[name].draw(sweep_data(self._stored))

    def _repr_html_(self) -> str:
        """Return the sweep as a notebook shows it: its state, its runs by state, its best run."""
        self._stored.refresh()
        seen = summarize(self._stored)
        config = seen.config
        rows = [("state", str(seen.state)), ("method", config.method_text), ("runs", seen.counts)]
        if config.stops_early:
            rows.append(("stopping early", str(seen.savings)))
        if seen.best is not None and seen.best_value:
            rows.append(("best run", f"{seen.best_value} (run {seen.best.id})"))
            searched = config.searched([seen.best.values])
            if seen.front is not None:
                rows.append(("Pareto front", ", ".join(run.id for run in seen.front.best)))
            rows += [(name, repr(value)) for name, value in seen.best.values.items() if name in searched]
        title = f"sweep {self.id}" + (f" ({config.name})" if config.name else "")
        cells = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>" for name, text in rows)
        return f"<table><caption>{html.escape(title)}</caption>{cells}</table>"
