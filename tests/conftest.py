import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test asks the network for weights

import pytest
import torch
from hypothesis import settings

import tiny
from mirrors import mirror  # noqa: F401  a fixture

LONG = ("test_page", "test_browser", "test_notebooks", "test_resume", "test_conformance")  # of the files outside of it

torch.set_num_threads(1)
settings.register_profile("without deadlines", deadline=None)  # what a busy machine takes says nothing about the code
settings.load_profile("without deadlines")


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """The small digits as an opened cache."""
    return tiny.digits_cache(tmp_path_factory)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """One worker runs all tests of a file, which share fixtures, and one most of the workflow, which share a finished study.

    What takes longest comes first, so that no worker is left with it at the end.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            shared = item.path.parent if item.path.parent.name == "workflow" else item.path
            item.add_marker(pytest.mark.xdist_group(shared.stem))
    items.sort(key=lambda item: (item.path.parent.name != "workflow", item.path.stem not in LONG))
