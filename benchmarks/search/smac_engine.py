"""Drives SMAC3, its facade for hyperparameters as it is, in an environment of its own; speaks as ``wandb_engine.py``.

SMAC is told that 50 runs are to come, which sets the number of its first draws.
"""

import json
import sys
import tempfile
import time
from typing import Any

from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer
from smac import HyperparameterOptimizationFacade, Scenario
from smac.runhistory import TrialValue

SEED = int(sys.argv[1])


def parameter(name: str, one: dict[str, Any]) -> Any:
    """The parameter of ConfigSpace for one of a sweep file."""
    if "values" in one:
        return Categorical(name, one["values"])
    low, high = one["min"], one["max"]
    if isinstance(low, int) and isinstance(high, int):
        return Integer(name, (low, high))
    return Float(name, (low, high), log=one.get("distribution") == "log_uniform_values")


def unused(config: Any, seed: int = 0) -> float:
    """SMAC wants a function that trains, and looks at the names of its parameters; it is never called."""
    raise NotImplementedError(config, seed)


def facade(parameters: dict[str, Any], directory: str) -> Any:
    """SMAC for the parameters of a sweep file."""
    space = ConfigurationSpace(seed=SEED)
    space.add([parameter(name, one) for name, one in parameters.items()])
    scenario = Scenario(space, deterministic=True, n_trials=50, seed=SEED, output_directory=directory)
    return HyperparameterOptimizationFacade(scenario, unused, overwrite=True, logging_level=40)


with tempfile.TemporaryDirectory() as scratch:
    smac, trials, told = None, [], set()
    for line in sys.stdin:
        asked = json.loads(line)
        start = time.process_time()
        smac = smac or facade(asked["config"]["parameters"], scratch)
        for number, run in enumerate(asked["runs"]):
            if run["state"] == "finished" and number not in told:
                told.add(number)
                smac.tell(trials[number], TrialValue(cost=run["summaryMetrics"]["loss"]))
        trials.append(smac.ask())
        values = {
            name: getattr(value, "item", lambda value=value: value)() for name, value in trials[-1].config.items()
        }
        print(json.dumps({"values": values, "seconds": time.process_time() - start}), flush=True)
