"""The side of the training script. Standard library only, so that importing it costs next to nothing."""

from lightsweep.client.current import finish, log, serving
from lightsweep.client.init_run import init
from lightsweep.client.processes import rank
from lightsweep.client.run import Run
from lightsweep.client.run_config import RunConfig
from lightsweep.hyperband import Verdict
from lightsweep.wandb.run_names import RunDirectory

__all__ = ["Run", "RunConfig", "RunDirectory", "Verdict", "finish", "init", "log", "rank", "serving"]
