"""Fetch the small bundle of plotly.js for reports: ``python release/plotly.py``, once for a checkout or a release.

It is data of the wheel, not of the repository. Without it, reports hold the whole library of the package ``plotly``.
"""

from __future__ import annotations

import base64
import hashlib
import io
import sys
import tarfile
import urllib.request
from pathlib import Path

# The version that the pinned package ``plotly`` has. The digest is that of the npm registry.
ADDRESS = "https://registry.npmjs.org/plotly.js-basic-dist-min/-/plotly.js-basic-dist-min-4.1.1.tgz"
DIGEST = "1oNF8PeQx2hv/y7tqEVWKD3JGwn/MGEMQ8mL9HUwsaqG9FGy/OU5FHUHvzqbqxN4mnwZGI9abTiE775C4kkjMQ=="
TARGET = Path(__file__).resolve().parent.parent / "lightsweep" / "report" / "plotly-basic.min.js"


def main() -> None:
    """Write the bundle to `TARGET`, unless it is there; exit with 1 if another archive came."""
    if TARGET.exists():
        return
    with urllib.request.urlopen(ADDRESS, timeout=60) as answer:
        content = answer.read()
    found = base64.b64encode(hashlib.sha512(content).digest()).decode()
    if found != DIGEST:
        sys.exit(f"{ADDRESS} has the digest {found}, not {DIGEST}")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        bundle = archive.extractfile("package/plotly-basic.min.js")
        assert bundle is not None
        TARGET.write_bytes(bundle.read())


if __name__ == "__main__":
    main()
