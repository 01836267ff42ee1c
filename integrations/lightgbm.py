"""A callback that makes LightGBM part of a sweep: ``lightgbm.train(..., callbacks=[SweepCallback()])``.

Works with lightgbm from 4.0: ``train``, ``cv`` and the estimators with scikit-learn's interface.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lightgbm import Booster
from lightgbm.callback import CallbackEnv, EarlyStopException

from lightsweep.client.numbers import results
from lightsweep.client.processes import rank
from lightsweep.integrations._checkpoints import PREFIX, Pace, keep, position_of
from lightsweep.integrations.base import MetricMissingError, OnPrune, SweepCallbackBase

if TYPE_CHECKING:
    from lightsweep.client import Run

__all__ = ["MetricMissingError", "SweepCallback"]

_ORDER = 25
"""After ``record_evaluation`` (20), before ``early_stopping`` (30), which may end the loop."""


class SweepCallback(SweepCallbackBase):
    """Reports each boosting round to the sweep, and ends the training when the run is stopped.

    Every round is a report and counts as one iteration. Names are those that W&B shows: the name of the data in
    ``valid_names`` and the metric (``valid_0_l2``). ``cv`` has ``valid_l2-mean`` and ``valid_l2-stdv``.

    A run that may be retried keeps its model in ``run.dir``, as often as takes at most a twentieth of the time. The
    next attempt resumes with ``init_model=run.checkpoint``. What was reported before is not reported again, also if
    training begins from the start. ``cv`` keeps none.

    Without an agent LightGBM trains as if the callback were absent, and one line on stderr says so.

    Args:
        run: The run to report to; by default the current one, which the callback starts if the script has not.
        metric: The name under which LightGBM logs the metric of the sweep, if it differs from the sweep's name.
        on_prune: How a stopped training ends. ``"raise"``: ``train`` raises `RunPruned`. ``"stop"``: it returns the
            model as after early stopping.
        checkpoint: Whether to keep a checkpoint to resume from. By default if the run may be retried: the sweep has
            ``max_retries``, a scheduler may end the job, or this is not the run's first attempt.

    Raises:
        UsageError: ``on_prune`` is something else.

    ``train`` raises:
        RunPruned: The verdict is to stop.
        MetricMissingError: After the first round, if LightGBM has not logged the metric.
        UsageError: The training has two of these callbacks.
        AgentLostError: The agent is gone.

    Attributes:
        order: Its place among the callbacks of a round, for LightGBM.
        before_iteration: Whether LightGBM calls it before a round.
    """

    def __init__(
        self,
        run: Run | None = None,
        metric: str | None = None,
        on_prune: OnPrune = "raise",
        checkpoint: bool | None = None,
    ) -> None:
        super().__init__(run, metric, on_prune, checkpoint)
        self.order = _ORDER
        self.before_iteration = False

    def _forget(self) -> None:
        super()._forget()
        self._pace = Pace()

    def __call__(self, env: CallbackEnv) -> None:
        """Report a round, and end the training if that was to be the last; LightGBM calls this after each round."""
        rounds = env.iteration + 1
        if env.iteration == env.begin_iteration:
            self._begin(env)
        else:
            self._release(env.model)
        found = {value.name: value.number for value in results(env.evaluation_result_list)}
        self._report(found, rounds, last=rounds >= env.end_iteration, first=rank() == 0)
        if self._pruned:
            raise EarlyStopException(env.iteration, env.evaluation_result_list or [])
        if self._keeps_checkpoints and isinstance(env.model, Booster) and rank() == 0:
            self._pace.save(partial(self._save, env.model, rounds))

    def _begin(self, env: CallbackEnv) -> None:
        """Begin to report; continue from the position of the checkpoint if the training has begun with its model."""
        self._claim(env.model, "round")
        run = self._begin_training(first=rank() == 0)
        if run is not None and run.checkpoint:
            kept = re.fullmatch(rf"{PREFIX}(\d+)-(\d+)\.txt", Path(run.checkpoint).name)
            if kept and int(kept[1]) == env.begin_iteration:
                state = {"run": run.id, "step": int(kept[1]), "iterations": int(kept[2])}
                position_of(run).restore(run, state)

    def _remedy(self) -> str:
        return "Name its data in valid_sets= or eval_set=, and its metric in params or eval_metric"

    def _save(self, model: Booster, rounds: int) -> None:
        """Save the model under a name with the position in the sweep, since its format has no place for that."""
        run = self._run
        assert run is not None
        path = run.dir / f"{PREFIX}{rounds}-{position_of(run).iterations}.txt"
        model.save_model(str(path))
        keep(run, path)
