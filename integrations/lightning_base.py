"""The callback class of every Lightning package that is installed, and where its Trainer writes unasked."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

__all__ = ["LightningCallback", "write_below"]

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
    trainer.loggers = [_moved(logger, here, directory) for logger in trainer.loggers]
    if not trainer.loggers:
        for callback in trainer.checkpoint_callbacks:
            if getattr(callback, "dirpath", directory) is None:
                callback.dirpath = str(directory / "checkpoints")


def _moved(logger: Any, here: str, directory: Path) -> Any:
    """A logger like the one that a Trainer makes unasked, below ``directory``; any other logger as it is."""
    if type(logger).__name__ not in ("TensorBoardLogger", "CSVLogger"):
        return logger
    if logger.save_dir != here or logger.name != "lightning_logs":
        return logger
    logger.finalize("success")
    return type(logger)(save_dir=str(directory))
