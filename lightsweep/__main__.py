"""``python -m lightsweep``, and where the installed command begins."""

from __future__ import annotations

import signal
import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line; its exit code, see :func:`lightsweep.cli.main`.

    The command line is loaded here, since Ctrl-C may come meanwhile.
    """
    try:
        from lightsweep.cli import main as run

        return run()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
