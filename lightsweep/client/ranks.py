"""Which process of a distributed run this is."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

__all__ = ["rank"]


def rank(environ: Mapping[str, str] = os.environ) -> int:
    """The global rank: from torch.distributed where it runs, else from RANK or LOCAL_RANK; 0 elsewhere.

    torch is asked only if the script has imported it. SLURM_PROCID is no sign: several agents under one ``srun`` have
    different ones, and each serves its own runs.
    """
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank())
    for name in ("RANK", "LOCAL_RANK"):
        value = environ.get(name, "")
        if value.isdecimal():
            return int(value)
    return 0
