"""A strategy in the Trainer of Hugging Face's transformers: a callback around the one for a plain loop.

training = Frugal(InfoBatch(), model, samples=len(data), epochs=3, batch_size=32)
trainer = Trainer(model, arguments, train_dataset=data)
FrugalCallback(training).attach(trainer)
trainer.train()
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from frugal.errors import FrugalError, needs_extra
from frugal.loops.fitting import check_data, overrides
from frugal.loops.plain import Frugal
from frugal.loops.selected import Selected

with needs_extra("text", "callbacks for the Trainer of transformers"):
    from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

FILE = "frugal.pt"  # in each checkpoint of the Trainer


def classified(outputs: Any, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The losses (b,) and logits (b, classes) of a model that classifies. labels: (b,)"""
    return functional.cross_entropy(outputs.logits.float(), labels, reduction="none"), outputs.logits


class FrugalCallback(TrainerCallback):
    """Gives the Trainer its batches and the loss, and saves the state of the strategy in its checkpoints.

    training: a new `Frugal`, over the model that the Trainer gets; losses: what the model gave and labels -> losses (b,) of the
    samples and logits (b, classes), or None for these
    """

    def __init__(self, training: Frugal, losses: Callable[[Any, Tensor], tuple[Tensor, Tensor | None]] = classified):
        self.training, self.losses = training, losses
        self.trainer: Trainer | None = None

    def attach(self, trainer: Trainer) -> None:
        """Before `trainer.train()`. Raises FrugalError for a training that isn't the one that `Frugal` was told of."""
        training, given = self.training, trainer.args
        known = {
            "num_train_epochs": (given.num_train_epochs, training.epochs),
            "per_device_train_batch_size": (given.per_device_train_batch_size, training.batch_size),
            "gradient_accumulation_steps": (given.gradient_accumulation_steps, 1),
            "the number of processes": (given.world_size, 1),
            "the number of GPUs in one process": (max(1, given.n_gpu), 1),
            "max_steps": (given.max_steps, -1),
            "label_smoothing_factor": (given.label_smoothing_factor, 0),
        }
        for name, (has, needed) in known.items():
            if has != needed:
                raise FrugalError(f"Trainer: {name} is {has}, and Frugal needs {needed} here")
        if trainer.compute_loss_func is not None:
            raise FrugalError(
                "Trainer: compute_loss_func is given; give it to FrugalCallback as losses, one for each sample"
            )
        check_data(trainer.train_dataset, training.run.samples)
        self.trainer = trainer
        given.ignore_data_skip = True  # the sampler goes on by itself where the checkpoint left it
        trainer.compute_loss_func = self.loss
        trainer.get_train_dataloader = self.loader
        trainer.add_callback(self)

    def loader(self) -> Any:
        """Batches of `training.select`, put together as the Trainer does it."""
        trainer, given = self.trainer, self.trainer.args
        plain = DataLoader(
            trainer.train_dataset,
            batch_sampler=self.training.sampler,
            collate_fn=trainer.data_collator,
            num_workers=given.dataloader_num_workers,
            pin_memory=given.dataloader_pin_memory and torch.cuda.is_available(),
        )
        return Selected(self.training, plain, longest=True)

    def loss(self, outputs: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:
        """A single number, to be back-propagated; in an evaluation the mean. labels: (b,)"""
        losses, logits = self.losses(outputs, labels)
        if not torch.is_grad_enabled():
            return losses.mean()
        return self.training.weigh(losses, logits=logits, labels=labels)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any
    ) -> None:
        """Attach the optimizer; where the Trainer resumes, load the state that lies in its checkpoint.

        Raises FrugalError where there is none.
        """
        optimizer = given["optimizer"]
        if self.training.optimizer is None:
            self.training.attach(getattr(optimizer, "optimizer", optimizer))
        if state.global_step:
            file = Path(args.output_dir) / f"checkpoint-{state.global_step}" / FILE
            if overrides(self.training.strategy, "rebuild"):
                raise FrugalError(
                    f"{self.training.use} changes the model or the optimizer's groups, which the Trainer has loaded by now; "
                    "resume in a plain loop"
                )
            if not file.exists():
                raise FrugalError(f"{file} is missing, so the strategy can't go on where it was; train from the start")
            self.training.load_state_dict(torch.load(file, weights_only=False))

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        """Save the state beside the model's."""
        torch.save(self.training.state_dict(), Path(args.output_dir) / f"checkpoint-{state.global_step}" / FILE)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any
    ) -> TrainerControl:
        """Stop once all epochs are done: the Trainer counts them by steps, of which a strategy takes fewer."""
        if self.training.epoch >= self.training.epochs:
            control.should_training_stop = True
        return control
