"""Hugging Face: `init` first, arguments made of the config, `report_to` left as it is."""

import torch
from torch.utils.data import Dataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

import wandb


class Data(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {"input_ids": torch.tensor([1, 2, index % 4]), "labels": torch.tensor(index % 2)}


def main():
    with wandb.init(project="demo") as run:
        args = TrainingArguments(
            output_dir=f"out/{run.id}",
            learning_rate=1e-9 * run.config.x,
            num_train_epochs=4,
            eval_strategy="epoch",
            save_strategy="no",
            report_to="wandb",
            use_cpu=True,
            disable_tqdm=True,
        )
        config = BertConfig(
            vocab_size=16, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
        )
        torch.manual_seed(0)
        model = BertForSequenceClassification(config)
        epochs = []

        def metrics(_):
            epochs.append(len(epochs) + 1)
            return {"score": -run.config.x / epochs[-1]}

        trainer = Trainer(model=model, args=args, train_dataset=Data(), eval_dataset=Data(), compute_metrics=metrics)
        trainer.train()
    print("trained")


if __name__ == "__main__":
    main()
