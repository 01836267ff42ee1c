"""A callback that makes XGBoost part of a sweep: ``xgboost.train(..., callbacks=[SweepCallback()])``.

Works with xgboost from 2.0: ``train``, ``cv`` and the estimators with scikit-learn's interface.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from xgboost import Booster, collective
from xgboost.callback import TrainingCallback

from lightsweep.client.numbers import Evaluated, latest, rounds_of
from lightsweep.integrations._checkpoints import PREFIX, Pace, keep, position_of
from lightsweep.integrations.base import MetricMissingError, SweepCallbackBase
from lightsweep.integrations.distributed import broadcast

__all__ = ["MetricMissingError", "SweepCallback"]

_STATE = "lightsweep"


class SweepCallback(SweepCallbackBase, TrainingCallback):  # type: ignore[misc, unused-ignore]
    """Reports each boosting round to the sweep, and ends the training when the run is stopped.

    Every round is a report and counts as one iteration. Names are XGBoost's own, which W&B shows too: the name of the
    data in ``evals`` and the metric (``eval-rmse``), ``validation_0-rmse`` with ``eval_set=``. ``cv`` has
    ``test-rmse-mean`` and ``test-rmse-std``. A round is reported when the next one begins, the last one when training
    ends, so that the verdict on the last one never discards a complete model.

    With several workers of XGBoost only rank 0 reports; its verdict is broadcast, so that all leave at the same round.

    A run that may be retried keeps its model in ``run.dir``, as often as takes at most a twentieth of the time. The
    next attempt resumes with ``xgb_model=run.checkpoint``. What was reported before is not reported again, also if
    training begins from the start. ``cv`` keeps none.

    Without an agent XGBoost trains as if the callback were absent, and one line on stderr says so.

    Args:
        run: The run to report to; by default the current one, which the callback starts if the script has not.
        metric: The name under which XGBoost logs the metric of the sweep, if it differs from the sweep's name.
        on_prune: How a stopped training ends. ``"raise"``: ``train`` raises `RunPruned`. ``"stop"``: it returns the
            model as after early stopping.
        checkpoint: Whether to keep a checkpoint to resume from. By default if the run may be retried: the sweep has
            ``max_retries``, a scheduler may end the job, or this is not the run's first attempt.

    Raises:
        UsageError: ``on_prune`` is something else.

    ``train`` raises:
        RunPruned: The verdict is to stop.
        MetricMissingError: After the first round, if XGBoost has not logged the metric.
        UsageError: The training has two of these callbacks.
        AgentLostError: The agent is gone.
    """

    def _forget(self) -> None:
        super()._forget()
        self._evaluated: Evaluated = {}
        self._before = self._begun = self._reported = 0
        self._pace = Pace()

    # XGBoost's own hooks.

    def before_training(self, model: Any) -> Any:
        self._claim(model, "round")
        run = self._begin_training(first=collective.get_rank() == 0)
        if run is not None:
            self._before = model.num_boosted_rounds()
            position_of(run).restore(run, json.loads(model.attr(_STATE) or "{}"))
        return model

    def before_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Report the round before; True ends the training."""
        self._release(model)
        self._evaluated = evals_log
        if epoch:
            self._report_round(epoch, last=False)
            if not self._pruned:
                self._keep(model, epoch)
        if not self._pruned:
            self._begun = epoch + 1
        return self._pruned

    def after_training(self, model: Any) -> Any:
        self._report_round(rounds_of(self._evaluated) or self._begun, last=True)
        return model

    # Reports and checkpoints.

    def _report_round(self, rounds: int, *, last: bool) -> None:
        """Report the last of the rounds of this training, once; every worker calls this at the same point."""
        if rounds > self._reported:
            self._reported = rounds
            self._report(
                {value.name: value.number for value in latest(self._evaluated)},
                self._before + rounds,
                last=last,
                first=collective.get_rank() == 0,
                send=partial(collective.broadcast, root=0) if collective.get_world_size() > 1 else broadcast,
            )

    def _remedy(self) -> str:
        return "Name its data in evals=[(data, name)] or eval_set=, and its metric in eval_metric"

    def _keep(self, model: Any, rounds: int) -> None:
        if self._keeps_checkpoints and isinstance(model, Booster) and collective.get_rank() == 0:
            self._pace.save(partial(self._save, model, self._before + rounds))

    def _save(self, model: Booster, rounds: int) -> None:
        """Save the model with the position in the sweep, which the model of the user does not keep."""
        run = self._run
        assert run is not None
        path = run.dir / f"{PREFIX}{rounds}.ubj"
        model.set_attr(**{_STATE: json.dumps(position_of(run).state(run))})
        model.save_model(path)
        model.set_attr(**{_STATE: None})
        keep(run, path)
