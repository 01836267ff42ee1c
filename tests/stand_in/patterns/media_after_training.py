"""Images, tables and figures once training has ended, where their failure would cost the whole training."""

import numpy as np

import wandb

run = wandb.init()
generator = np.random.default_rng(0)
for epoch in range(4):
    wandb.log({"loss": wandb.config.x / (epoch + 1), "weights": wandb.Histogram(generator.normal(size=50))})
images = generator.integers(0, 255, size=(3, 8, 8, 3), dtype=np.uint8)
wandb.log({"examples": [wandb.Image(image, caption=f"number {i}") for i, image in enumerate(images)]})
table = wandb.Table(columns=["id", "image", "truth"])
for i, image in enumerate(images):
    table.add_data(i, wandb.Image(image), i % 2)
wandb.log({"predictions": table})
truth, found = [0, 1, 1, 0], [0, 1, 0, 0]
scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
wandb.log(
    {
        "confusion": wandb.plot.confusion_matrix(y_true=truth, preds=found, class_names=["a", "b"]),
        "roc": wandb.plot.roc_curve(truth, scores, labels=["a", "b"]),
        "pr": wandb.plot.pr_curve(truth, scores, labels=["a", "b"]),
        "line": wandb.plot.line(wandb.Table(data=[[1, 2], [2, 3]], columns=["x", "y"]), "x", "y", title="line"),
        "html": wandb.Html("<b>done</b>"),
        "video": wandb.Video(generator.integers(0, 255, size=(2, 3, 8, 8), dtype=np.uint8), fps=4),
        "audio": wandb.Audio(generator.normal(size=800), sample_rate=8000),
        "cloud": wandb.Object3D(generator.normal(size=(20, 3))),
    }
)
wandb.finish()
