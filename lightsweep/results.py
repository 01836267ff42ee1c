"""The sweep as its users hold it: the controller's, with what it has found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightsweep import controller
from lightsweep.analysis import Importance, dataframe, importance

if TYPE_CHECKING:
    import pandas as pd

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
        """Which parameters mattered for a metric; see :func:`lightsweep.analysis.importance`.

        Args:
            metric: The sweep's own by default; any other that was logged.
            at: Compare the runs after this number of iterations.

        Raises:
            UsageError: No such metric, or ``at`` cannot be; scikit-learn is not installed.
            StorageUnavailableError: The database does not answer.
        """
        return importance(self.runs, self.config, metric, at)
