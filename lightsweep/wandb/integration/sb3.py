"""``wandb.integration.sb3``: W&B's callback for stable-baselines3, which reports and ends a stopped training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter

from lightsweep.wandb.integration import log, run_for

__all__ = ["WandbCallback"]


class WandbCallback(BaseCallback):  # type: ignore[misc, unused-ignore]
    """Logs what the algorithm logs, under its names: ``rollout/ep_rew_mean``, ``train/loss``.

    W&B itself reads these numbers from TensorBoard's files; here ``sync_tensorboard`` and ``tensorboard_log`` are not
    needed.

    Args:
        verbose: stable-baselines3's own.
        model_save_path: The directory of the model; not saved without one.
        model_save_freq: Number of calls between two saves; 0 saves at the end only.
        gradient_save_freq: Accepted and ignored.
        log: Accepted and ignored.

    Raises:
        UsageError: There is no run.
    """

    def __init__(
        self,
        verbose: int = 0,
        model_save_path: str | None = None,
        model_save_freq: int = 0,
        gradient_save_freq: int = 0,
        log: str | None = "all",
    ) -> None:
        super().__init__(verbose)
        run_for("WandbCallback()")
        del gradient_save_freq, log
        self.model_save_freq = model_save_freq
        self.path = None if model_save_path is None else Path(model_save_path, "model.zip")

    def _init_callback(self) -> None:
        """Add the settings of the algorithm to the config, and listen to its logger."""
        found = {
            name: value if isinstance(value, (float, int, str)) else str(value)
            for name, value in {"algo": type(self.model).__name__, **vars(self.model)}.items()
        }
        run_for("WandbCallback()").config.setdefaults(found)
        formats = self.logger.output_formats
        formats[:] = [*(each for each in formats if not isinstance(each, _Writer)), _Writer()]

    def _on_step(self) -> bool:
        if self.model_save_freq > 0 and self.n_calls % self.model_save_freq == 0:
            self._save()
        return True

    def _on_training_end(self) -> None:
        self._save()

    def _save(self) -> None:
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.model.save(self.path)
            run_for("save()").save(str(self.path), base_path=str(self.path.parent))


class _Writer(KVWriter):  # type: ignore[misc, unused-ignore]
    """Takes the numbers of one log of the algorithm."""

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        del key_excluded
        log({**key_values, "global_step": step})

    def close(self) -> None:
        """Leave the run open."""
