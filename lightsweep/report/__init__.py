"""What a sweep found, to look at: figures for notebooks and papers, and one page with all of them.

Everything here is made from runs and a config, not from a storage. plotly comes with the extra ``analysis``.
"""

from __future__ import annotations

from lightsweep.report.curves import curves_figure
from lightsweep.report.data import ReportData, digest
from lightsweep.report.gallery import Named, figures
from lightsweep.report.history import history_figure
from lightsweep.report.images import write_images
from lightsweep.report.importance import importance_figure, weigh
from lightsweep.report.page import page
from lightsweep.report.parallel import parallel_figure
from lightsweep.report.slices import slice_figures
from lightsweep.report.timeline import timeline_figure

__all__ = [
    "Named",
    "ReportData",
    "curves_figure",
    "digest",
    "figures",
    "history_figure",
    "importance_figure",
    "page",
    "parallel_figure",
    "slice_figures",
    "timeline_figure",
    "weigh",
    "write_images",
]
