"""W&B's recipe for cross-validation: each fold is a process with a run of its own, the parent logs the mean."""

import multiprocessing
import os

import wandb


def fold(number, x, queue):
    for name in [key for key in os.environ if key.startswith("WANDB_")]:
        del os.environ[name]
    run = wandb.init(group="folds", job_type=f"fold-{number}", name=f"fold-{number}", config={"x": x}, reinit=True)
    value = x + number
    for _ in range(3):
        run.log({"loss": value / 100})
    run.finish()
    queue.put(value)


def main():
    run = wandb.init()
    queue = multiprocessing.Queue()
    values = []
    for number in range(3):
        worker = multiprocessing.Process(target=fold, args=(number, run.config.x, queue))
        worker.start()
        values.append(queue.get(timeout=60))
        worker.join()
        assert worker.exitcode == 0
    run.log({"loss": sum(values) / len(values)})
    wandb.join()


if __name__ == "__main__":
    main()
