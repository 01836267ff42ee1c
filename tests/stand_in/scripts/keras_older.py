"""Keras with W&B's older callback, at its older place."""

import keras
import numpy as np
import wandb
from wandb.keras import WandbCallback

wandb.init(config={"lr": 0.1})
x = np.linspace(-1, 1, 64).reshape(-1, 1)
keras.utils.set_random_seed(0)
model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
model.compile(keras.optimizers.SGD(wandb.config.lr), "mse")
model.fit(x, 3 * x, epochs=5, validation_data=(x, 3 * x), verbose=0, callbacks=[WandbCallback(save_model=False)])
