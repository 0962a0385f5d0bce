"""A strategy in a training by Lightning (https://lightning.ai): a callback around the one for a plain loop.

    training = Frugal(InfoBatch(), module.net, samples=len(data), epochs=10, batch_size=128)
    loader = DataLoader(data, batch_sampler=training.sampler)
    Trainer(max_epochs=10, callbacks=[FrugalCallback(training)]).fit(module, loader)

and `return training.weigh(losses)` in `training_step`. A strategy that chooses within a batch takes `training.select(loader)`.
"""

from typing import Any

from frugal.errors import FrugalError
from frugal.loops.fitting import check_data
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
        """Raises FrugalError where the loader isn't one over `training.sampler`, or its samples or epochs don't agree."""
        if trainer.current_epoch != self.training.epoch:
            raise FrugalError(
                f"Lightning is in epoch {trainer.current_epoch}, the strategy in epoch {self.training.epoch}: the checkpoint was "
                "saved after fit had stopped within an epoch; take one that ModelCheckpoint has saved"
            )
        if self.training.picks and trainer.enable_validation:
            raise FrugalError(
                f"{self.training.use} chooses within a batch, so Lightning can't know the last batch of an epoch, after which it "
                "validates; give fit no validation loader, and call trainer.validate after it"
            )
        loader = trainer.train_dataloader
        loader = loader.loader if isinstance(loader, Selected) else loader
        if getattr(loader, "batch_sampler", None) is not self.training.sampler:
            raise FrugalError(
                "the loader doesn't have batch_sampler=training.sampler, or Lightning replaced it; with several ranks set "
                "use_distributed_sampler=False"
            )
        check_data(loader.dataset, self.training.run.samples)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Tell Lightning how many batches this epoch has: it asked once, before the first, and would cut others short."""
        training, interval = self.training, trainer.val_check_interval
        # How many a choice within a batch gives isn't known before the last.
        batches = training.most_batches() if training.picks else len(training.sampler)
        trainer.fit_loop.max_batches = batches
        if trainer.fit_loop._data_fetcher.length is not None:  # which a resumed fit asks once for all epochs
            trainer.fit_loop._data_fetcher.length = batches
        if isinstance(interval, float) and trainer.check_val_every_n_epoch is not None:
            trainer.val_check_batch = max(1, int(batches * interval))

    def state_dict(self) -> dict[str, Any]:
        """That of the strategy's training."""
        return self.training.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Kept until there is an optimizer."""
        self.loaded = state_dict
