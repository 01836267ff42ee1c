"""A tiny BERT tells praise from blame; nothing is downloaded. On its own it trains with the defaults below."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from torch.utils.data import Dataset
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    EvalPrediction,
    PreTrainedTokenizerFast,
    Trainer,
    set_seed,
)

import lightsweep
from lightsweep.integrations.transformers import SweepCallback, training_arguments

DEFAULTS = {
    "learning_rate": 1e-3,
    "batch_size": 32,
    "epochs": 9,
    "weight_decay": 0.01,
    "model": {"hidden_size": 32, "num_layers": 1, "dropout": 0.1},
}
SUBJECTS = ["the film", "this book", "the meal", "our trip", "that song", "the play", "the game", "his talk"]
GOOD = ["wonderful", "moving", "clever", "delightful", "superb", "charming"]
BAD = ["dreadful", "boring", "clumsy", "tiresome", "awful", "dull"]
LINKS = ["and", "but never", "and not", "yet hardly"]
WORDS_PER_SENTENCE = 12


def sentences(count: int, seed: int) -> tuple[list[str], list[int]]:
    """Sentences such as "our trip was clever but never dull", with 1 for praise; "never" and its like turn a word."""
    chosen = random.Random(seed)
    texts, labels = [], []
    for _ in range(count):
        praise = chosen.random() < 0.5
        link = chosen.choice(LINKS)
        same, other = (GOOD, BAD) if praise else (BAD, GOOD)
        second = chosen.choice(same if link == "and" else other)
        first = chosen.choice(same)
        texts.append(f"{chosen.choice(SUBJECTS)} was {first} {link} {second}")
        labels.append(int(praise))
    return texts, labels


def word_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """One token a word, from the words of ``texts``."""
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(texts, trainers.WordLevelTrainer(special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


class Sentences(Dataset[dict[str, torch.Tensor]]):
    """Tokenized sentences, padded to one length."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, texts: list[str], labels: list[int]) -> None:
        self.encoded = tokenizer(texts, padding="max_length", max_length=WORDS_PER_SENTENCE, return_tensors="pt")
        self.labels = torch.tensor(labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        inputs = ("input_ids", "attention_mask")
        return {**{name: self.encoded[name][index] for name in inputs}, "labels": self.labels[index]}


def accuracy(prediction: EvalPrediction) -> dict[str, float]:
    logits = np.asarray(prediction.predictions)
    return {"accuracy": float((logits.argmax(axis=-1) == prediction.label_ids).mean())}


def make_trainer(run: Any) -> Trainer:
    set_seed(0)
    train_texts, train_labels = sentences(400, seed=1)
    tokenizer = word_tokenizer(train_texts)
    settings = run.config.model
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=settings.hidden_size,
            num_hidden_layers=settings.num_layers,
            num_attention_heads=2,
            intermediate_size=2 * settings.hidden_size,
            max_position_embeddings=WORDS_PER_SENTENCE,
            hidden_dropout_prob=settings.dropout,
            num_labels=2,
        )
    )
    arguments = training_arguments(
        run, report_to="none", logging_strategy="epoch", save_strategy="no", disable_tqdm=True, use_cpu=True
    )
    return Trainer(
        model=model,
        args=arguments,
        train_dataset=Sentences(tokenizer, train_texts, train_labels),
        eval_dataset=Sentences(tokenizer, *sentences(200, seed=2)),
        compute_metrics=accuracy,
        callbacks=[SweepCallback()],
    )


def main() -> None:
    torch.set_num_threads(1)
    with lightsweep.init(config=DEFAULTS) as run:
        trainer = make_trainer(run)
        trainer.train()
        trainer.save_model(str(run.dir / "model"))


if __name__ == "__main__":
    main()
