"""What the summary keeps is chosen, and written to by hand."""

import wandb

run = wandb.init()
run.define_metric("epoch")
wandb.define_metric("val/*", step_metric="epoch")
wandb.define_metric("score", summary="max")
best = 0.0
for epoch in range(4):
    score = [0.1, 0.9, 0.5, 0.3][epoch]
    best = max(best, score)
    wandb.log({"loss": wandb.config.x / (epoch + 1), "val/loss": 1.0, "score": score, "epoch": epoch})
    wandb.run.summary["best_score"] = best
assert run.summary["score"]["max"] == 0.9
wandb.summary["matrix"] = [[1, 2], [3, 4]]
wandb.summary.update({"note": "ended"})
assert run.summary.get("missing") is None
