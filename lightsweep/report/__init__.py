"""The report of a sweep: figures for notebooks and papers, and one HTML page with all of them.

The report is made from runs and a config, without a storage. plotly comes with the extra ``analysis``.
"""

from lightsweep.report.data import ReportData, report_data, sweep_data
from lightsweep.report.figures import FIGURES, FigureKind, figures, write_images
from lightsweep.report.live import LivePage, PageServer
from lightsweep.report.logged import all_details, logged_curves, run_parts
from lightsweep.report.media import run_media
from lightsweep.report.page import page

__all__ = [
    "FIGURES",
    "FigureKind",
    "LivePage",
    "PageServer",
    "ReportData",
    "all_details",
    "figures",
    "logged_curves",
    "page",
    "report_data",
    "run_media",
    "run_parts",
    "sweep_data",
    "write_images",
]
