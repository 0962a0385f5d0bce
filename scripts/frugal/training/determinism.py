"""The same bits on a GPU, for a price; on the CPU the same seed gives the same bits anyway."""

import os

import torch


def set_determinism(wanted: bool) -> None:
    """Allow only operations that give the same bits each time, or any again. Comes before the first product on a GPU.

    An operation that has no such form raises an error that names it.
    """
    if wanted:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # else cuBLAS may sum in any order; read when it starts
    torch.use_deterministic_algorithms(wanted)
    torch.backends.cudnn.deterministic = wanted
    torch.backends.cudnn.benchmark = not wanted  # tries the algorithms for each shape; shapes here are static
