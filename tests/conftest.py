import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

import tiny
from mirrors import mirror  # noqa: F401  a fixture

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """The small digits as an opened cache."""
    return tiny.digits_cache(tmp_path_factory)
