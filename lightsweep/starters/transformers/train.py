"""Train a tiny BERT to tell praise from blame; nothing is downloaded. Replace the data and the model by yours."""

import random

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, set_seed

import lightsweep
from lightsweep.integrations.transformers import SweepCallback, training_arguments

GOOD = ["wonderful", "moving", "clever", "superb", "charming"]
BAD = ["dreadful", "boring", "clumsy", "awful", "dull"]
LINKS = {"and": False, "but never": True, "yet hardly": True}  # whether the word behind it is of the other kind
WORDS = ["it", "was", *GOOD, *BAD, *" ".join(LINKS).split()]


def sentences(count, seed):
    """Return tokenized sentences such as "it was clever but never dull", with 1 for praise."""
    chosen = random.Random(seed)
    examples = []
    for _ in range(count):
        praise, link = chosen.random() < 0.5, chosen.choice(list(LINKS))
        first, other = (GOOD, BAD) if praise else (BAD, GOOD)
        text = f"it was {chosen.choice(first)} {link} {chosen.choice(other if LINKS[link] else first)}"
        tokens = [1 + WORDS.index(word) for word in text.split()]
        tokens += [0] * (6 - len(tokens))
        examples.append(
            {
                "input_ids": torch.tensor(tokens),
                "attention_mask": torch.tensor([int(token > 0) for token in tokens]),
                "labels": int(praise),
            }
        )
    return examples


def accuracy(prediction):
    return {"accuracy": float((prediction.predictions.argmax(axis=-1) == prediction.label_ids).mean())}


if __name__ == "__main__":
    set_seed(0)
    with lightsweep.init() as run:
        settings = BertConfig(
            vocab_size=1 + len(WORDS),
            hidden_size=run.config.hidden_size,
            intermediate_size=2 * run.config.hidden_size,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=6,
        )
        trainer = Trainer(
            model=BertForSequenceClassification(settings),
            # learning_rate, batch_size, weight_decay and epochs come from the sweep
            args=training_arguments(run, report_to="none", save_strategy="no", disable_tqdm=True),
            train_dataset=sentences(400, seed=1),
            eval_dataset=sentences(200, seed=2),
            compute_metrics=accuracy,
            callbacks=[SweepCallback()],  # reports the metric after each evaluation, and stops the run inside of train
        )
        trainer.train()
