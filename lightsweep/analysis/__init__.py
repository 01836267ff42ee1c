"""What a sweep has found: its runs as a frame, what mattered, and where to look next.

The functions take runs and a config, not a storage, so they work on whatever runs one has. pandas and scikit-learn
come with the extra ``analysis``, and are imported when they are needed.
"""

from __future__ import annotations

from lightsweep.analysis.frame import dataframe
from lightsweep.analysis.importances import Importance, ParameterImportance, importance
from lightsweep.analysis.optional import required
from lightsweep.analysis.refinement import Refinement, refine
from lightsweep.analysis.run_scores import Scores, scores

__all__ = [
    "Importance",
    "ParameterImportance",
    "Refinement",
    "Scores",
    "dataframe",
    "importance",
    "refine",
    "required",
    "scores",
]
