"""Hugging Face's own search with W&B's backend: it creates the sweep and runs the agent."""

from hf_report_to import Data, Model
from transformers import PretrainedConfig, Trainer, TrainingArguments


def space(trial):
    return {
        "method": "grid",
        "metric": {"name": "objective", "goal": "minimize"},
        "parameters": {"learning_rate": {"values": [0.01, 0.02]}},
        "early_terminate": {"type": "hyperband", "min_iter": 2},
    }


class Search(Trainer):
    def create_optimizer(self, *args, **kwargs):
        self.model.x = 100 * self.args.learning_rate  # the second trial is worse
        return super().create_optimizer(*args, **kwargs)


def main():
    args = TrainingArguments(
        output_dir="out",
        eval_strategy="epoch",
        num_train_epochs=4,
        use_cpu=True,
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
    )
    trainer = Search(
        model_init=lambda: Model(PretrainedConfig(), 1.0), args=args, train_dataset=Data(), eval_dataset=Data()
    )
    best = trainer.hyperparameter_search(backend="wandb", hp_space=space, n_trials=2, direction="minimize")
    print("best", best.objective, best.hyperparameters["learning_rate"])


if __name__ == "__main__":
    main()
