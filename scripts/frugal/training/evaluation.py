"""Loss and scores of a model over a whole split."""

import time
from dataclasses import dataclass

import torch
from torch import nn

from frugal.data.device import Split
from frugal.training.tasks import Scores, Task


@dataclass
class Evaluation:
    """loss: mean over the samples in nats; scores: of the task; seconds: that it took, scoring included."""

    loss: float
    scores: Scores
    seconds: float

    @property
    def accuracy(self) -> float:
        """A fraction."""
        return self.scores.accuracy


@torch.inference_mode()
def evaluate(
    model: nn.Module, data: Split, task: Task, level: int | None, spectral: bool, autocast: torch.autocast
) -> Evaluation:
    """Run the model in evaluation mode over every sample, read at `level` (None: in full)."""
    was_training, started = model.training, time.perf_counter()
    model.eval()
    losses, answers = [], []
    indices = torch.arange(len(data), device=data.labels.device)
    for part in indices.split(data.evaluated_at_once):
        segments = None if level is None else [(level, 0, len(part))]
        with autocast:
            logits = model(data.read(part, segments, spectral)).float()
        losses.append(task.losses(logits, data.labels[part], 0.0))
        answers.append(task.answers(logits, data.labels[part]))
    model.train(was_training)
    loss, scores = torch.cat(losses).double().mean().item(), task.scores(answers, data.labels)
    return Evaluation(loss, scores, time.perf_counter() - started)
