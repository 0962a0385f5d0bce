"""Peak memory of training a net that is nearly all weights, in a process of its own; prints bytes above what importing took.

Six linear layers of 2048 x 2048 and Adam: dense, 16 bytes per weight, that is 403 MB.
Run as `python -m frugal.bench.footprint block-16x16`.
"""

import sys
from pathlib import Path

import torch
from torch import nn

from frugal.errors import FrugalError
from frugal.measure.memory import keep_freed_memory, peak_memory
from frugal.sparse.convert import sparsify
from frugal.sparse.pattern import parse_pattern

LAYERS, WIDTH, BATCH, STEPS = 6, 2048, 32, 3
DENSE_BYTES = 16 * LAYERS * WIDTH**2  # weights, gradients and two moments


def main(pattern: str, sparsity: float = 0.5) -> int:
    """Peak bytes of a few training steps. pattern: as in the config, or "dense". Raises FrugalError where none can be had."""
    torch.set_num_threads(1)
    keep_freed_memory()  # as runs do
    torch.manual_seed(0)
    nn.Linear(8, 8)(torch.ones(1, 8)).sum().backward()  # thread pools and buffers that every net needs
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    except OSError as error:
        raise FrugalError(f"this system can't measure a peak of memory ({error}); leave this group out") from error
    before, source = peak_memory(torch.device("cpu"))
    if before is None:
        raise FrugalError(f"no peak of memory: {source}")
    layers = [layer for _ in range(LAYERS) for layer in (nn.Linear(WIDTH, WIDTH, bias=False), nn.ReLU())]
    model = nn.Sequential(*layers)
    if pattern != "dense":
        sparsify(model, parse_pattern(pattern), sparsity, torch.Generator().manual_seed(0), skip=[])
    del layers
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    for _ in range(STEPS):
        optimizer.zero_grad(set_to_none=True)
        model(torch.randn(BATCH, WIDTH)).square().mean().backward()
        optimizer.step()
    return peak_memory(torch.device("cpu"))[0] - before


if __name__ == "__main__":
    print(main(sys.argv[1]))
