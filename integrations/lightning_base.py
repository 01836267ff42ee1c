"""The callback class of every Lightning package that is installed, and where its Trainer writes unasked."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

__all__ = ["LightningCallback", "write_below"]

_EMPTY_EVENTS_BYTES = 256

if TYPE_CHECKING:
    import lightning.pytorch
    import pytorch_lightning

    # The two packages declare the same hooks, each with its own Trainer.
    class LightningCallback(lightning.pytorch.Callback, pytorch_lightning.Callback):  # type: ignore[misc]
        """A callback that either package's Trainer knows as its own."""

else:

    def _bases() -> tuple[type, ...]:
        bases = []
        if find_spec("lightning") is not None:
            from lightning.pytorch import Callback

            bases.append(Callback)
        if find_spec("pytorch_lightning") is not None:
            from pytorch_lightning import Callback

            bases.append(Callback)
        if not bases:
            raise ModuleNotFoundError("lightsweep.integrations.lightning needs Lightning: pip install lightning")
        return tuple(bases)

    LightningCallback = type("LightningCallback", _bases(), {})


def write_below(directory: Path, trainer: Any) -> None:
    """Send to ``directory`` what would go to the working directory only because nobody named another one."""
    here = os.path.normpath(Path.cwd())
    if trainer.default_root_dir != here:
        return
    # Private, since there is no other way once the trainer is made; a test looks at what default_root_dir then says.
    trainer._default_root_dir = str(directory)
    trainer.loggers = [_moved(logger, here, directory, trainer.is_global_zero) for logger in trainer.loggers]


def _moved(logger: Any, here: str, directory: Path, first: bool) -> Any:
    """A logger like the one that a Trainer makes unasked, below ``directory``; any other logger as it is."""
    if type(logger).__name__ not in ("TensorBoardLogger", "CSVLogger"):
        return logger
    if logger.save_dir != here or logger.name != "lightning_logs":
        return logger
    logger.finalize("success")
    if first:
        _remove_unused(Path(logger.log_dir))
    return type(logger)(save_dir=str(directory))


def _remove_unused(made: Path) -> None:
    """Remove the directory that a logger has made before anything was logged, with an events file that says nothing.

    The one above it stays, where other runs may be making theirs.
    """
    with suppress(OSError):
        for file in made.glob("events.out.tfevents*"):
            if file.stat().st_size <= _EMPTY_EVENTS_BYTES:
                file.unlink()
        made.rmdir()
