"""Run the Hypothesis tests with random examples, again and again for a given time.

Usage: ``python tests/fuzz.py SECONDS``, or ``make fuzz SECONDS=600``. The exit code is 1 after the first failure, whose
example is printed and kept in ``.hypothesis/``, so that the next call tries it again.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


class Rounds:
    """Repeat the collected tests, each round in another order, until the time is up.

    Args:
        seconds: The time for tests; the test that runs at its end is the last.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.calls = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Interrupted(f"{session.testsfailed} errors while the tests were collected")
        items = session.items
        end = time.monotonic() + self._seconds  # from here on, since collecting takes a while
        while items:
            random.shuffle(items)  # so that a short time does not always go to the same tests
            for item, following in zip(items, [*items[1:], items[0]], strict=True):
                last = time.monotonic() > end
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
