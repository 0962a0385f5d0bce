"""Loss and predictions of a model over a whole split."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from frugal.data.device import Split


@dataclass
class Evaluation:
    """loss: mean cross-entropy in nats; accuracy: fraction; predictions: (n,) int64 on the CPU."""

    loss: float
    accuracy: float
    predictions: Tensor


@torch.inference_mode()
def evaluate(model: nn.Module, data: Split, level: int | None, spectral: bool, autocast: torch.autocast) -> Evaluation:
    """Run the model in evaluation mode over every sample, read at `level` (None: in full)."""
    was_training = model.training
    model.eval()
    losses, predictions = [], []
    indices = torch.arange(len(data), device=data.labels.device)
    for part in indices.split(data.evaluated_at_once):
        segments = None if level is None else [(level, 0, len(part))]
        with autocast:
            logits = model(data.read(part, segments, spectral)).float()
        losses.append(functional.cross_entropy(logits, data.labels[part], reduction="none"))
        predictions.append(logits.argmax(1))
    model.train(was_training)
    prediction = torch.cat(predictions)
    return Evaluation(
        loss=torch.cat(losses).double().mean().item(),
        accuracy=(prediction == data.labels).double().mean().item(),
        predictions=prediction.cpu(),
    )
