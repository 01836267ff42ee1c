"""LightGBM with W&B's callback and summary."""

import lightgbm as lgb
import numpy as np
import wandb
from wandb.integration.lightgbm import log_summary, wandb_callback

wandb.init()
x = np.linspace(-1, 1, 64).reshape(-1, 1)
data = lgb.Dataset(x, 3 * x[:, 0])
parameters = {"learning_rate": wandb.config.lr, "num_threads": 1, "verbose": -1, "min_data_in_leaf": 2}
model = lgb.train(
    parameters, data, 5, valid_sets=[lgb.Dataset(x, 3 * x[:, 0], reference=data)], callbacks=[wandb_callback()]
)
log_summary(model, save_model_checkpoint=True)
wandb.finish()
