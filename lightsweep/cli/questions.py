"""``lightsweep help WORD ...``: the page of questions and answers, `docs/faq.md`, which the package has with it.

Messages name such a command where the page says more than fits in them: ``more: lightsweep help pruned``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import lightsweep
from lightsweep.cli.output import say
from lightsweep.errors import NotFoundError

__all__ = ["answers", "help", "questions"]

_PAGE = Path("docs", "faq.md")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")


def help(  # noqa: A001 - the name of the command
    words: Annotated[
        list[str] | None, typer.Argument(metavar="WORD ...", help="Words of a question, or a command.")
    ] = None,
) -> None:
    """Answer a question about sweeps, or show the help of a command.

    It prints what the page of questions and answers has about the words. No network is needed.

    For example: lightsweep help pruned
    """
    found = answers(words or ())
    if not found:
        say("\n".join(["questions:", *(f"  {question}" for question in questions())]), error=True)
        raise NotFoundError(f"no question has {' '.join(words or ())!r}; take a word of one of these")
    say("\n\n".join(found))


def questions() -> dict[str, str]:
    """Return the answer to each question, as text for a terminal."""
    package = Path(lightsweep.__file__).parent  # in a checkout, docs is beside it
    page = next(path for path in (package / _PAGE, package.parent / _PAGE) if path.exists()).read_text(encoding="utf-8")
    sections = (section.partition("\n") for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:])
    return {question: _LINK.sub(r"\1", answer).strip() for question, _, answer in sections}


def answers(words: Sequence[str]) -> list[str]:
    """Return the questions that have all words, with their answers; if none has, those whose answers have them."""
    wanted = [word.lower() for word in words]
    texts = {question: f"{question}\n\n{answer}" for question, answer in questions().items()}
    asked = [text for question, text in texts.items() if all(word in question.lower() for word in wanted)]
    return asked or [text for text in texts.values() if all(word in text.lower() for word in wanted)]
