"""``lightsweep check --smoke``: run the program once, and say what is right and wrong with it."""

from __future__ import annotations

import shutil
import signal
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lightsweep.cli.say import say

if TYPE_CHECKING:
    from lightsweep.schema import SweepConfig

__all__ = ["smoke"]

_MARKS = {True: "ok", False: "WRONG", None: "-"}


def smoke(config: SweepConfig, timeout: float) -> int:
    """Run the program once with sampled parameters and print the report; the exit code.

    Args:
        config: The sweep's config.
        timeout: Seconds after which the program is ended.

    Raises:
        InputError: There is no program to run, or none of that name.
    """
    from lightsweep.agents.displays.lines import parameters, plain
    from lightsweep.agents.findings import findings
    from lightsweep.agents.smoke import smoke_run
    from lightsweep.errors import CommandError

    values = _sample(config)
    if values is None:
        raise CommandError("the sweep has no point to try")
    shown = parameters(values, list(values))
    say(f"\nsmoke run outside of any sweep, with {plain(shown)}")
    with _ending_by_sigterm():
        seen = smoke_run(config, values, timeout=timeout)
    found = findings(config, seen, timeout)
    for finding in found:
        say(_entry(f"  {_MARKS[finding.right]:<6}", plain(finding.text)))
    wrong = sum(finding.right is False for finding in found)
    if not wrong:
        say("the script is ready for the sweep")
        return 0
    if seen.output:
        say("the last that it printed:")
        say("\n".join(f"  | {plain(line)}" for line in seen.output))
    say(f"{wrong} thing{'s' if wrong > 1 else ''} to correct before a sweep")
    return 1


@contextmanager
def _ending_by_sigterm() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that the program is ended with this process."""
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _entry(mark: str, text: str) -> str:
    width = max(40, min(shutil.get_terminal_size().columns, 120))
    wrapped = textwrap.wrap(text, width - len(mark), break_on_hyphens=False, break_long_words=False)
    return mark + f"\n{' ' * len(mark)}".join(wrapped)


def _sample(config: SweepConfig) -> Mapping[str, Any] | None:
    """The first of the sample commands."""
    from lightsweep.sampler import make_proposer

    return make_proposer(config, config.options.seed or 0).propose(0, [])
