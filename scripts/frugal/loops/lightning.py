"""A strategy in a training by Lightning (https://lightning.ai): a callback around the one for a plain loop.

    training = Frugal(InfoBatch(), module.net, samples=len(data), epochs=10, batch_size=128)
    loader = DataLoader(data, batch_sampler=training.sampler)
    Trainer(max_epochs=10, callbacks=[FrugalCallback(training)]).fit(module, loader)

and `return training.weigh(losses)` in `training_step`. A strategy that chooses within a batch takes `training.select(loader)`.
"""

from typing import Any

from frugal.errors import FrugalError
from frugal.loops.plain import Frugal
from frugal.loops.selected import Selected

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ModuleNotFoundError as error:
    raise FrugalError("the callback for Lightning needs it: pip install lightning") from error


class FrugalCallback(Callback):
    """Attaches the optimizer, and saves and loads the state of the strategy with Lightning's checkpoints.

    training: a new `Frugal`, with the device that Lightning will train on
    """

    def __init__(self, training: Frugal):
        self.training = training
        self.loaded: dict[str, Any] | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Raises FrugalError for a training that isn't the one that `Frugal` was told of."""
        training = self.training
        if trainer.max_epochs != training.epochs:
            raise FrugalError(f"Frugal was made for {training.epochs} epochs, and max_epochs is {trainer.max_epochs}")
        if len(trainer.optimizers) != 1:
            raise FrugalError(f"a strategy follows one optimizer, and the module has {len(trainer.optimizers)}")
        if training.moves_shapes and self.loaded is not None:
            raise FrugalError(
                f"{training.use} changes the shapes of weights, which Lightning loads before them; resume in a plain loop"
            )
        if training.optimizer is None:
            training.attach(trainer.optimizers[0])
        if self.loaded is not None:
            training.load_state_dict(self.loaded)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Raises FrugalError where the loader doesn't take its batches from `training.sampler`."""
        loader = trainer.train_dataloader
        loader = loader.loader if isinstance(loader, Selected) else loader
        if getattr(loader, "batch_sampler", None) is not self.training.sampler:
            raise FrugalError(
                "the loader doesn't have batch_sampler=training.sampler, or Lightning replaced it; with several ranks set "
                "use_distributed_sampler=False"
            )

    def state_dict(self) -> dict[str, Any]:
        """That of the strategy's training."""
        return self.training.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Kept until there is an optimizer."""
        self.loaded = state_dict
