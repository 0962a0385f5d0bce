"""FLOPs of a pass, counted by torch's own counter once per input shape: on the meta device, so that counting costs no run time.

A net that asks its inputs for a value can't run there (`Tensor.item()`, as the attention masks of `transformers` do): it is
counted on one real pass of a copy on the run's device. What can be counted nowhere is None, with the reason; a run goes on.
"""

import copy
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from frugal.measure.memory import not_at_its_peak

SAMPLES = 2  # counted at once: batch normalisation refuses one, and FLOPs are proportional to the batch
ON_META = "torch's counter, on the meta device"
# Products of torch's own that its counter has no formula for; what is elementwise is left out by it on purpose.
WITHOUT_FORMULA = {
    *("mv", "addmv", "dot", "vdot", "_int_mm", "_grouped_mm", "_addmm_activation", "_sparse_mm", "_sparse_addmm"),
    *(
        "mkldnn_rnn_layer",
        "_cudnn_rnn",
        "miopen_rnn",
        "_trilinear",
        "_cdist_forward",
        "_fft_r2c",
        "_fft_c2r",
        "_fft_c2c",
    ),
}


@dataclass(frozen=True)
class PassFlops:
    """FLOPs of one sample (a multiplication and an addition are two), None where they can't be counted.

    source: how they were counted, and what was left out; or why they were not
    """

    forward: int | None
    backward: int | None
    source: str = ON_META


def device_of(model: nn.Module) -> torch.device:
    """Where a net lies: the device of its first parameter or buffer, the CPU for one without."""
    return next((tensor.device for tensor in (*model.parameters(), *model.buffers())), torch.device("cpu"))


def pass_flops(
    model: nn.Module, shape: tuple[int, ...], classes: int, *, dtype: torch.dtype = torch.float32, useful: bool = False
) -> PassFlops:
    """FLOPs of a forward and a backward pass of one sample of `shape`: (C, H, W) of an image, (L,) of int64 tokens.

    Matrix products and convolutions are counted, elementwise work is not, as is usual. The model is copied, not touched, and
    the random state stays as it is. useful: leave out multiplications with weights that are known to be zero, which some
    kernels of sparse layers execute; a layer that tells the two apart has an attribute `count_useful`. Raises nothing.
    """
    try:
        return _count(model, torch.device("meta"), shape, dtype, useful)
    except Exception as error:  # whatever a net stumbles over where tensors have no values
        why = _first_line(error)
    here = device_of(model)
    try:
        with not_at_its_peak(here):
            counted = _count(model, here, shape, dtype, useful)
    except Exception as error:  # no measurement ends a training
        return PassFlops(None, None, f"not counted: {why}; on the device: {_first_line(error)}")
    source = counted.source.replace(ON_META, f"torch's counter, a pass on {here.type} (on the meta device: {why})")
    return PassFlops(counted.forward, counted.backward, source)


def _count(
    model: nn.Module, device: torch.device, shape: tuple[int, ...], dtype: torch.dtype, useful: bool
) -> PassFlops:
    """On a copy of the model on that device."""
    twin = _without_sync(copy.deepcopy(model)).to(device).train()
    for module in twin.modules():
        if hasattr(module, "count_useful"):
            module.count_useful, module.only_counted = useful, True
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        torch.enable_grad(),
        torch.autocast(device.type if device.type != "meta" else "cpu", enabled=False),
        sdpa_kernel(SDPBackend.MATH),  # products that are counted alike on every device
    ):
        inputs = torch.ones(SAMPLES, *shape, dtype=dtype, device=device)  # token 0 would be no text
        with FlopCounterMode(display=False) as forward, _Unknown(forward) as unknown:
            logits = twin(inputs).flatten(0, -2)  # of every frame, where a sample has several
            loss = functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=device))
        with FlopCounterMode(display=False) as backward, unknown:
            loss.backward()
    left_out = ", ".join(f"{name} ({often}x)" for name, often in sorted(unknown.seen.items()))
    source = ON_META + (f"; without {left_out}, for which it has no formula" if left_out else "")
    return PassFlops(forward.get_total_flops() // SAMPLES, backward.get_total_flops() // SAMPLES, source)


class _Unknown(TorchDispatchMode):
    """Notes operators that may do products and that the counter has no formula for: those of extensions, and WITHOUT_FORMULA."""

    def __init__(self, counter: FlopCounterMode):
        super().__init__()
        self.known, self.seen = counter.flop_registry, Counter()

    def __torch_dispatch__(self, operator: Any, types: Any, given: tuple = (), named: dict | None = None) -> Any:
        packet = getattr(operator, "overloadpacket", operator)
        space = getattr(operator, "namespace", "aten")
        name = getattr(packet, "__name__", str(packet))
        foreign = space not in ("aten", "prim", "prims", "profiler", "debugprims", "_c10d_functional")
        if packet not in self.known and (foreign or name in WITHOUT_FORMULA or name.startswith("linalg_")):
            self.seen[f"{space}::{name}"] += 1
        return operator(*given, **(named or {}))


def _first_line(error: Exception) -> str:
    """What went wrong, short enough for a record."""
    text = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__


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
