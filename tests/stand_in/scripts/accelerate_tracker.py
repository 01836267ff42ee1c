"""A loop with accelerate as written for W&B: its tracker is the only one that knows of a sweep."""

import argparse

from accelerate import Accelerator

EPOCHS = 4


def main(x):
    accelerator = Accelerator(cpu=True, log_with="wandb")
    accelerator.init_trackers("demo", config={"x": x}, init_kwargs={"wandb": {"name": "mine", "tags": ["a"]}})
    for epoch in range(EPOCHS):
        accelerator.log({"val_loss": x / (1.0 + epoch)}, step=epoch)
    accelerator.get_tracker("wandb").log_table("table", columns=["a"], data=[[1]])
    accelerator.end_training()
    print("end of the script", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--x", type=float)
    main(parser.parse_args().x)
