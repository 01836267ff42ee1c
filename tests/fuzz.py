"""Run every Hypothesis test with random examples, again and again for a given time.

Usage: ``python tests/fuzz.py SECONDS``, or ``make fuzz SECONDS=600``. The exit code is 1 after the first failure, whose
example is printed and kept in ``.hypothesis/``, so that the next call begins with it.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


class Rounds:
    """Repeats the collected tests until the time is up.

    Args:
        seconds: How long to go on; the test that runs then is the last.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self.calls = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Interrupted(f"{session.testsfailed} errors while the tests were collected")
        items = session.items
        while items:
            for item, following in zip(items, [*items[1:], items[0]], strict=True):
                last = time.monotonic() > self._end
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=None if last else following)
                self.calls += 1
                if session.shouldfail:
                    raise session.Failed(session.shouldfail)
                if last:
                    return True
        return True


def main(seconds: float) -> int:
    """Fuzz for some seconds; the exit code."""
    os.environ["LIGHTSWEEP_TEST_PROFILE"] = "fuzz"
    files = [str(path) for path in sorted(TESTS.rglob("test_*.py")) if "@given" in path.read_text()]
    rounds = Rounds(seconds)
    code = pytest.main(["-q", "-x", "-m", "hypothesis", "-p", "no:cacheprovider", *files], plugins=[rounds])
    print(f"{rounds.calls} tests were run with random examples")
    return 0 if code == pytest.ExitCode.OK and rounds.calls else 1


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
