"""A Hugging Face script as written for W&B: ``report_to="wandb"`` is all that it has for a sweep."""

from dataclasses import dataclass

import torch
from torch.utils.data import Dataset
from transformers import HfArgumentParser, PretrainedConfig, PreTrainedModel, Trainer, TrainingArguments


@dataclass
class Own:
    """The argument of the script itself."""

    x: float = 1.0
    sweep_callback: bool = False


class Data(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {"inputs": torch.ones(2) * index, "labels": torch.zeros(1)}


class Model(PreTrainedModel):
    config_class = PretrainedConfig

    def __init__(self, config, x):
        super().__init__(config)
        self.layer = torch.nn.Linear(2, 1)
        self.x = x
        self.evaluations = 0
        self.post_init()

    def forward(self, inputs=None, labels=None):
        found = self.layer(inputs)
        if self.training:
            return {"loss": ((found - labels) ** 2).mean(), "logits": found}
        self.evaluations += 1
        return {"loss": torch.tensor(self.x / self.evaluations), "logits": found}


def main():
    own, args = HfArgumentParser((Own, TrainingArguments)).parse_args_into_dataclasses()
    trainer = Trainer(model=Model(PretrainedConfig(), own.x), args=args, train_dataset=Data(), eval_dataset=Data())
    if own.sweep_callback:
        from lightsweep.integrations.transformers import SweepCallback

        trainer.add_callback(SweepCallback())
    trainer.train()
    print("end of the script", args.process_index, flush=True)


if __name__ == "__main__":
    main()
