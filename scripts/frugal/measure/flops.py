"""FLOPs of a pass, counted by torch's own counter once per input shape on the meta device, so that counting costs no run time."""

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

SAMPLES = 2  # counted at once: batch normalisation refuses one, and FLOPs are proportional to the batch


@dataclass(frozen=True)
class PassFlops:
    """FLOPs of one sample (a multiplication and an addition are two)."""

    forward: int
    backward: int


def pass_flops(
    model: nn.Module, shape: tuple[int, ...], classes: int, *, dtype: torch.dtype = torch.float32, useful: bool = False
) -> PassFlops:
    """FLOPs of a forward and a backward pass of one sample of `shape`: (C, H, W) of an image, (L,) of int64 tokens.

    Matrix products and convolutions are counted, elementwise work is not, as is usual. The model is copied, not touched.
    useful: leave out multiplications with weights that are known to be zero, which some kernels of sparse layers execute;
    a layer that tells the two apart has an attribute `count_useful`.
    """
    twin = _without_sync(copy.deepcopy(model)).to("meta").train()
    for module in twin.modules():
        if hasattr(module, "count_useful"):
            module.count_useful = useful
    inputs = torch.empty(SAMPLES, *shape, dtype=dtype, device="meta")
    with FlopCounterMode(display=False) as forward:
        logits = twin(inputs).flatten(0, -2)  # of every frame, where a sample has several
        loss = functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device="meta"))
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    return PassFlops(forward.get_total_flops() // SAMPLES, backward.get_total_flops() // SAMPLES)


def decoding_flops(channels: int, level: int, pixels: int) -> int:
    """FLOPs of decoding one sample: the two products (k x k)(k x p) and (p x k)(k x p) of each channel."""
    return channels * 2 * (level * level * pixels + pixels * level * pixels)


def _without_sync(model: nn.Module) -> nn.Module:
    """Batch normalisation shared between GPUs refuses any other device; it counts for nothing, so an empty place does."""
    for name, child in model.named_children():
        if isinstance(child, nn.SyncBatchNorm):
            setattr(model, name, nn.Identity())
        else:
            _without_sync(child)
    return model
