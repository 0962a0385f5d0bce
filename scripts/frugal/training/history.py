"""History of a run: a row per epoch, the loss of every batch, what the strategy logged; and the sums of the epoch under way.

The history of a run that another one follows is read here too.
"""

import csv
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from frugal.costs import TIMED
from frugal.errors import FrugalError
from frugal.measure.ledger import Ledger

Row = dict[str, float | None]
CHARGED = ("charged_samples_backpropagated", "charged_bytes_read")  # columns, where there is such a thing


@dataclass
class History:
    """What the epochs that are done leave behind, for the record and the checkpoint.

    rows: of history.csv, one per epoch; curve: mean loss of each batch, a tensor (steps,) per epoch; traces: what the
    strategy logged batch by batch, columns (batches,) per epoch
    """

    rows: list[Row] = field(default_factory=list)
    curve: list[Tensor] = field(default_factory=list)
    traces: list[dict[str, Tensor]] = field(default_factory=list)

    def append(self, row: Row, curve: Tensor, trace: dict[str, Tensor]) -> None:
        """An epoch is done."""
        self.rows.append(row)
        self.curve.append(curve.cpu())
        self.traces.append({name: values.cpu() for name, values in trace.items()})

    def stalled(self, since: int | None, patience: int) -> bool:
        """Whether the validation loss has had no new minimum for `patience` epochs, looking at those after the first `since`.

        Never where that is None.
        """
        losses = [] if since is None else [row["val_loss"] for row in self.rows[since:]]
        return len(losses) > 0 and len(losses) - 1 - losses.index(min(losses)) >= patience

    def state_dict(self) -> dict[str, Any]:
        """Plain content for a checkpoint."""
        return {"rows": self.rows, "curve": self.curve, "traces": self.traces}


@dataclass
class EpochSums:
    """Sums over the steps of the epoch under way, on the device.

    curve: (at most that many,) mean loss of each batch; loss, correct: over their samples; steps, samples: how many so far;
    started: the ledger at the epoch's start
    """

    curve: Tensor
    loss: Tensor
    correct: Tensor
    steps: int = 0
    samples: int = 0
    started: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, steps: int, device: torch.device, ledger: Ledger) -> "EpochSums":
        """Empty sums for an epoch of that many steps."""
        zero = torch.zeros((), dtype=torch.float64, device=device)
        return cls(torch.zeros(steps, device=device), zero, zero.clone(), started=asdict(ledger))

    def add(self, losses: Tensor, correct: Tensor) -> None:
        """One batch: losses and hits of its samples, (b,) each."""
        total = losses.sum()
        self.curve[self.steps] = total / len(losses)
        self.loss += total
        self.correct += correct.sum()
        self.steps += 1
        self.samples += len(losses)

    @property
    def losses(self) -> Tensor:
        """(steps,) mean loss of each batch so far."""
        return self.curve[: self.steps]

    def check_finite(self, epoch: int, rate: float, saved_steps: int | None) -> None:
        """Raise FrugalError where a loss so far isn't a number.

        For its message, epoch: counted from 1; rate: the learning rate in force; saved_steps: of the last good checkpoint
        """
        bad = (~self.losses.isfinite()).nonzero()
        if len(bad):
            step = self.started["steps"] + bad[0].item() + 1
            saved = (
                f"the last good checkpoint is of step {saved_steps}" if saved_steps else "no checkpoint was saved yet"
            )
            raise FrugalError(
                f"the training loss is not a number at step {step} (epoch {epoch}, learning rate {rate:.3g}); {saved}; "
                "lower recipe.learning_rate"
            )

    def row(self) -> Row:
        """Samples, mean loss and accuracy of the epoch; an accuracy of None where only scoring tells."""
        correct = self.correct.item()
        return {
            "samples": self.samples,
            "train_loss": self.loss.item() / self.samples,
            "train_accuracy": None if correct != correct else correct / self.samples,
        }

    def state_dict(self) -> dict[str, Any]:
        """Plain content for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any], device: torch.device) -> "EpochSums":
        """The counterpart of `state_dict`, with its tensors on a device."""
        return cls(**{name: v.to(device) if isinstance(v, Tensor) else v for name, v in state.items()})


def read_followed(history: Path, name: str, cost: str | None = None) -> list[dict[str, float]]:
    """The counts of a followed run's epochs, from its history.csv; times are left out, since they differ from run to run.

    name: of the strategy; cost: what a control of equal cost spends as much of, which may be a time.
    Raises FrugalError where there is no such record, or it can't be read.
    """
    try:
        with open(history, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        counts = ("epoch", "steps", "samples", "bytes_read", "flops_executed", *({cost} & set(TIMED)), *CHARGED)
        return [
            {k: float(v) for k, v in row.items() if v and (k in counts or k.startswith(("share_", "width_")))}
            for row in rows
        ]
    except FileNotFoundError:
        raise FrugalError(
            f"it follows {name}, which has no record ({history} is missing); mend that run, whose train.log says why"
        ) from None
    except (OSError, ValueError, csv.Error) as error:
        raise FrugalError(
            f"it follows {name}, whose {history} can't be read ({error}); delete that run's folder and run again"
        ) from error
