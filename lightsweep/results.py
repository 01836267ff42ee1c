"""The sweep as its users hold it: the controller's, with what it has found."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from lightsweep import controller
from lightsweep.analysis import Importance, dataframe, importance, required

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

__all__ = ["Sweep"]


class Sweep(controller.Sweep):
    """A sweep in a storage, see :class:`lightsweep.controller.Sweep`, and what its runs tell."""

    def dataframe(self) -> pd.DataFrame:
        """Every run as of now, one row each; see :func:`lightsweep.analysis.dataframe`.

        Raises:
            UsageError: pandas is not installed.
            StorageUnavailableError: The database does not answer.
        """
        return dataframe(self.runs, self.config)

    def importance(self, metric: str | None = None, *, at: int | None = None) -> Importance:
        """Which parameters mattered for a metric; see :func:`lightsweep.analysis.importances`.

        Args:
            metric: The sweep's own by default; any other that was logged.
            at: Compare the runs after this number of iterations.

        Raises:
            UsageError: No such metric, or ``at`` cannot be; scikit-learn is not installed.
            StorageUnavailableError: The database does not answer.
        """
        return importance(self.runs, self.config, metric, at)

    def plot_parallel(self) -> go.Figure:
        """Parallel coordinates: each run a line over the parameters, coloured by the metric.

        Like every plot: the runs as of now, as a plotly figure; where there is nothing to see, it says why.

        Raises:
            UsageError: plotly is not installed.
            StorageUnavailableError: The database does not answer.
        """
        return self._figure("parallel")

    def plot_importance(self) -> go.Figure:
        """What mattered for the metric: importance and correlation of each parameter."""
        return self._figure("importance")

    def plot_history(self) -> go.Figure:
        """The value of every run in the order in which they began, and the best so far."""
        return self._figure("history")

    def plot_curves(self) -> go.Figure:
        """The learning curve of each run, with the bands and where runs were stopped early."""
        return self._figure("curves")

    def _figure(self, name: str) -> go.Figure:
        required("plotly")
        from lightsweep.report import FIGURES, report_data

        return FIGURES[name].draw(report_data(self.config, self.runs, controller.stage_views(self)))

    def _repr_html_(self) -> str:
        """What a notebook shows of the sweep: where it stands, its runs by state, its best run."""
        self.refresh()
        seen, stages = controller.summarize(self), self.config.stages
        rows = [
            ("state", str(seen.state)),
            ("method", f"{len(stages)} stages" if len(stages) > 1 else self.config.method),
            ("runs", seen.counts),
        ]
        if self.config.stops_early:
            rows.append(("stopping early", str(seen.savings)))
        if seen.best is not None and seen.best_value:
            rows.append(("best run", f"{seen.best_value} (run {seen.best.id})"))
            searched = self.config.searched([seen.best.values])
            rows += [(name, repr(value)) for name, value in seen.best.values.items() if name in searched]
        title = f"sweep {self.id}" + (f" ({self.config.name})" if self.config.name else "")
        cells = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>" for name, text in rows)
        return f"<table><caption>{html.escape(title)}</caption>{cells}</table>"
