"""What an epoch leaves behind: its row of history.csv, once its losses are known to be numbers."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from frugal.errors import FrugalError
from frugal.measure.memory import peak_memory
from frugal.measure.weights import weights_of
from frugal.training.tasks import Evaluation

if TYPE_CHECKING:
    from frugal.training.loop import Trainer


def row_of(trainer: "Trainer", validation: Evaluation, test: Evaluation | None) -> dict[str, float | None]:
    """The row of the epoch that was just trained; raises FrugalError where a strategy left it without a single step."""
    ledger, sums = trainer.ledger, trainer.sums
    if sums.samples == 0:
        raise FrugalError(
            f"the strategy selected less than one batch of {trainer.recipe.batch_size} in epoch {trainer.epoch + 1}; "
            "raise its target or lower recipe.batch_size"
        )
    return {
        "epoch": trainer.epoch + 1,
        "steps": ledger.steps,
        "samples": sums.samples,
        "train_loss": sums.loss.item() / sums.samples,
        "train_accuracy": None if sums.correct.isnan() else sums.correct.item() / sums.samples,
        **evaluated(validation, test),
        "val_seconds": validation.seconds,
        "learning_rate": trainer.rate,
        "train_seconds": trainer.clock.seconds["train"],
        "flops_executed": ledger.flops_executed,
        "bytes_read": ledger.bytes_read - sums.started["bytes_read"],
        "peak_memory_bytes": peak_memory(trainer.device)[0],
        "live_parameters": weights_of(trainer.model).live - trainer.strategy.left_out()[1],
        "flops_per_sample": trainer.flops_at(trainer.train_data.shape[-1]).forward,
        **trainer.strategy.evidence(),
    }


def evaluated(validation: Evaluation, test: Evaluation | None) -> dict[str, float | None]:
    """The columns that an evaluation fills."""
    columns = {}
    for split, found in (("val", validation), ("test", test)):
        if found is not None:
            rest = {name: value for name, value in asdict(found.scores).items() if value is not None}
            columns |= {f"{split}_{name}": value for name, value in ({"loss": found.loss} | rest).items()}
    return columns


def stalled(history: list[dict[str, float | None]], since: int | None, patience: int) -> bool:
    """Whether the validation loss has had no new minimum for `patience` epochs, looking at those after the first `since`.

    Never where that is None. It is asked of the history alone, which comes back with a checkpoint.
    """
    losses = [] if since is None else [row["val_loss"] for row in history[since:]]
    return len(losses) > 0 and len(losses) - 1 - losses.index(min(losses)) >= patience


def check_finite(trainer: "Trainer") -> None:
    """Raise FrugalError where a loss of the epoch under way isn't a number."""
    bad = (~trainer.sums.losses.isfinite()).nonzero()
    if len(bad):
        step = trainer.sums.started["steps"] + bad[0].item() + 1
        saved = (
            f"the last good checkpoint is of step {trainer.saved_steps}"
            if trainer.saved_steps
            else "no checkpoint was saved yet"
        )
        raise FrugalError(
            f"the training loss is not a number at step {step} (epoch {trainer.epoch + 1}, learning rate {trainer.rate:.3g}); "
            f"{saved}; lower recipe.learning_rate"
        )
