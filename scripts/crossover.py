"""Crossover of sparse linear layers: their time and memory over those of dense ones on this machine, written as CSV."""

import argparse
import csv
import io
import os
import sys
from pathlib import Path

PATTERNS = ("block-4x4", "block-16x16", "block-32x32", "block-64x64", "random")
SPARSITIES = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
SHAPES = (
    (512, 512),
    (2048, 512),
    (512, 2048),
    (1024, 1024),
)  # outputs, inputs: a transformer's projection and feed-forward
GRIDS = {  # shapes, sparsities, rows of the input, rounds
    "small": (((256, 256), (256, 1024)), (0.5, 0.75, 0.9), 64, 7),  # seconds
    "full": (SHAPES, SPARSITIES, 256, 7),  # minutes
}


def main() -> int:
    """Measure every cell; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, type=Path, help="CSV file")
    parser.add_argument("--grid", default="full", choices=list(GRIDS), help="small takes seconds, full minutes")
    parser.add_argument(
        "--batch", type=int, help="rows of the input; default 64 of the small grid, 256 of the full one"
    )
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    import torch

    from frugal.atomic import write_text
    from frugal.bench.crossover import cells
    from frugal.errors import FrugalError
    from frugal.measure.memory import keep_freed_memory
    from frugal.training.device import choose_device

    shapes, sparsities, batch, rounds = GRIDS[options.grid]
    batch = batch if options.batch is None else options.batch
    if batch < 1:
        raise FrugalError(f"--batch is {batch}; give at least 1")
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # as runs do
    device, _ = choose_device(options.device)
    rows = []
    for row in cells(shapes, PATTERNS, sparsities, batch, rounds, device):
        rows.append(row)
        print("  ".join(f"{k} {v}" for k, v in row.items()), file=sys.stderr)
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(options.out, out.getvalue())
    return 0


if __name__ == "__main__":
    from frugal.errors import exit_with_one_line

    exit_with_one_line(main)
