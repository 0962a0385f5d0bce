"""config/adding.md is followed to the letter, on data that the repository has never seen."""

import json
import re
import struct

import numpy as np
import pytest
from sklearn.datasets import load_digits

from workflow.conftest import ROOT, Workflow

GUIDE = ROOT / "config/adding.md"
BLOCK = re.compile(r"^`([\w./]+)`:\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def write_idx(path, array):
    """An array (n, ...) of uint8 as an idx file: magic number with type and dimensions, sizes, values."""
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(head + array.astype(np.uint8).tobytes())


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A checkout with everything in the guide added, and the idx files it speaks of: digits, larger and white on black."""
    workflow = Workflow(tmp_path_factory.mktemp("extended"))
    blocks = BLOCK.findall(GUIDE.read_text())
    assert len(blocks) == 8
    for name, content in blocks:
        with open(workflow.folder / name, "a") as file:
            file.write(("\n" if file.tell() else "") + content)
    bunch, folder = load_digits(), workflow.folder / "data/letters"
    folder.mkdir(parents=True)
    images = np.pad(255 - np.rint(bunch.images * 255 / 16), ((0, 0), (2, 2), (2, 2)), constant_values=255)
    for split, part in (("train", slice(0, 900)), ("test", slice(900, 1200))):
        write_idx(folder / f"{split}-images", images[part])
        write_idx(folder / f"{split}-labels", bunch.target[part])
    return workflow


def test_a_data_set_a_model_and_a_strategy_take_one_entry_or_file_each(extended):
    path = "results/demo/runs/mine/letters/flat-32/hardest/seed-1/metrics.json"
    done = extended.snakemake(path, config=("studies=[mine]", "data=data"))
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads((extended.folder / path).read_text())
    assert figures["samples_backpropagated"] == 800 + 5 * 400
    assert figures["test_accuracy"] > 0.6
    code = json.loads((extended.folder / path).with_name("manifest.json").read_text())["code"]
    assert {"frugal/strategies/hardest.py", "frugal/models/flat.py"} <= set(code)


def test_a_study_of_ones_own_is_planned_and_reported_by_the_overview(extended):
    found = extended.planned(config=("studies=[mine]", "data=data"))
    assert found["train"] in (8, 9), "the one above may be done"
    assert found["render"] == 0
    assert found["index"] == 1


def test_a_data_set_never_seen_runs_through_compression_and_infobatch_by_config_alone(extended):
    override = "override={datasets: [letters], models: [cnn-small], grouped: false}"
    found = extended.planned(config=("studies=[compression,infobatch]", "data=data", override))
    assert found["train"] == (14 + 7) * 3
