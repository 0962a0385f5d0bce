"""Candidates are scored, and the selected ones wait until they fill a batch: what is trained on keeps one static shape."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from frugal.training.forward import Forward, laid_out


@dataclass
class Batch:
    """inputs (b, ...), labels (b,), indices (b,) of the samples, weight (b,) or None."""

    inputs: Tensor
    labels: Tensor
    indices: Tensor
    weight: Tensor | None = None

    def parts(self) -> list[Tensor]:
        """Its tensors, without the weight where there is none."""
        return [t for t in (self.inputs, self.labels, self.indices, self.weight) if t is not None]


@dataclass
class Gathering:
    """Selected samples that wait for their batch, augmented as they were when they were scored."""

    waiting: list[list[Tensor]] = field(default_factory=list)

    def add(self, batch: Batch, chosen: Tensor) -> None:
        """Keep the samples of a batch at the chosen positions (m,)."""
        if len(chosen):
            self.waiting.append([part.index_select(0, chosen) for part in batch.parts()])

    def take(self, size: int) -> Batch | None:
        """A full batch, the longest waiting first, or None where fewer than `size` wait."""
        if sum(len(parts[0]) for parts in self.waiting) < size:
            return None
        whole = [torch.cat(column) for column in zip(*self.waiting, strict=True)]
        rest = [part[size:] for part in whole]
        self.waiting = [rest] if len(rest[0]) else []
        return Batch(*(part[:size] for part in whole))


@torch.no_grad()
def score(forward: Forward, inputs: Tensor, scale: float) -> Tensor:
    """Logits (b, classes) of inputs (b, ...); images (b, C, H, W) at half their size where `scale` is 0.5.

    In evaluation mode: batch normalisation uses its running statistics and doesn't update them, dropout is off.
    """
    model: nn.Module = forward.model
    if scale == 0.5:
        inputs = functional.avg_pool2d(inputs, 2, ceil_mode=True)
    model.eval()
    with forward.autocast:
        logits = model(laid_out(inputs))
    model.train()
    return logits


def scored_size(pixels: int, scale: float) -> int:
    """Pixels per side of a scored image."""
    return pixels if scale == 1 else -(-pixels // 2)
