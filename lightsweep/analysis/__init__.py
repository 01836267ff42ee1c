"""Analyse the runs of a sweep: as a pandas frame, by the importance of parameters, and for the next sweep.

The functions take runs and a config instead of a storage. pandas and scikit-learn come with the extra ``analysis``, and
are imported when they are needed.
"""

from lightsweep.analysis.frame import dataframe, never_read, required
from lightsweep.analysis.importances import Importance, ParameterImportance, importance
from lightsweep.analysis.refinement import Refinement, refine

__all__ = [
    "Importance",
    "ParameterImportance",
    "Refinement",
    "dataframe",
    "importance",
    "never_read",
    "refine",
    "required",
]
