"""Where a Hugging Face Trainer writes when nobody has told it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import TrainingArguments

__all__ = ["DEFAULT_OUTPUT_DIR", "write_below"]

DEFAULT_OUTPUT_DIR = "trainer_output"
"""What transformers 5 takes where no ``output_dir`` is given; in version 4 one must be given."""


def write_below(directory: Path, args: TrainingArguments) -> None:
    """Send to ``directory`` what runs would otherwise write over each other's."""
    if args.output_dir == DEFAULT_OUTPUT_DIR:
        args.output_dir = str(directory)
