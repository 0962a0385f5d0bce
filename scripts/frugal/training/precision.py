"""The precision `auto` stands for: bfloat16 where the device computes it natively and a few timed steps show that it pays.

Which one is faster depends on the net as much as on the device, so it is measured on a copy of the model; the choice is
kept in the checkpoint, so that a run which is continued elsewhere goes on as it began.
"""

import copy
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from frugal.measure.clock import synchronise
from frugal.training.forward import laid_out

ROUNDS = 5
PAYS = 1.1  # times faster; less may be chance, and float32 is the more exact


def computes_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for it; elsewhere it is emulated, which never pays."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return False
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith(("flags", "Features"))), [])
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(flags)


def choose_precision(
    model: nn.Module, shape: tuple[int, ...], classes: int, device: torch.device, dtype: torch.dtype = torch.float32
) -> tuple[str, str]:
    """ "float32" or "bfloat16", and a sentence for the record. shape, dtype: of a training batch, (b, ...).

    Leaves the model, its statistics and the random state as they were.
    """
    if not computes_bfloat16(device):
        return "float32", "precision auto: float32, this device has no bfloat16 instructions"
    times = {"float32": float("inf"), "bfloat16": float("inf")}
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        twin = copy.deepcopy(model).train()
        drawn = torch.randn(shape, device=device)
        inputs = laid_out(drawn) if dtype.is_floating_point else torch.ones_like(drawn, dtype=dtype)
        for turn in range(ROUNDS + 1):
            for precision, best in times.items():
                seconds = _step(twin, inputs, classes, precision)
                if turn:  # the first one allocates and plans
                    times[precision] = min(best, seconds)
    gain = times["float32"] / times["bfloat16"]
    chosen = "bfloat16" if gain >= PAYS else "float32"
    return chosen, f"precision auto: {chosen}, a step in bfloat16 took 1/{gain:.2f} of one in float32 on this device"


def _step(model: nn.Module, inputs: torch.Tensor, classes: int, precision: str) -> float:
    """Seconds of a forward and a backward pass."""
    device = inputs.device
    synchronise(device)
    start = time.perf_counter()
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        logits = model(inputs).flatten(0, -2)
    labels = torch.arange(len(logits), device=device) % classes
    functional.cross_entropy(logits.float(), labels).backward()
    synchronise(device)
    model.zero_grad()
    return time.perf_counter() - start
