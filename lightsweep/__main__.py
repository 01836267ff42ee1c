"""``python -m lightsweep``."""

from __future__ import annotations

import sys

from lightsweep.cli import main

sys.exit(main())
