"""The config as a namespace, or written over the arguments."""

import argparse
from types import SimpleNamespace

import wandb


def main(args):
    run = wandb.init(config=vars(args))
    for key, value in wandb.config.items():
        setattr(args, key, value)
    hp = SimpleNamespace(**wandb.config)
    assert hp.x == args.x
    for epoch in range(4):
        run.log({"loss": hp.x / (epoch + 1)})
    run.finish()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("-x", "--x", type=float, default=3)
    parser.add_argument("--out", default="out")
    main(parser.parse_args())
