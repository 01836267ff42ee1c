"""Keras with W&B's callbacks, as W&B's users write it."""

import argparse

import keras
import numpy as np
import wandb
from wandb.integration.keras import WandbMetricsLogger, WandbModelCheckpoint

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
run = wandb.init(project="line", config=vars(parser.parse_args()))
x = np.linspace(-1, 1, 64).reshape(-1, 1)
keras.utils.set_random_seed(0)
model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
model.compile(keras.optimizers.SGD(wandb.config.lr), "mse")
callbacks = [WandbMetricsLogger(log_freq=2), WandbModelCheckpoint("model-{epoch:02d}.keras")]
model.fit(x, 3 * x, epochs=5, validation_data=(x, 3 * x), verbose=0, callbacks=callbacks)
run.finish()
