"""XGBoost with W&B's callback."""

import numpy as np
import wandb
import xgboost as xgb
from wandb.integration.xgboost import WandbCallback

with wandb.init() as run:
    x = np.linspace(-1, 1, 64).reshape(-1, 1)
    model = xgb.XGBRegressor(
        n_estimators=5, learning_rate=run.config["lr"], n_jobs=1, callbacks=[WandbCallback(log_model=True)]
    )
    model.fit(x, 3 * x[:, 0], eval_set=[(x, 3 * x[:, 0])])
