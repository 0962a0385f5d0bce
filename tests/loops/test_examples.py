"""Each script of examples/ runs as it stands and ends with what it says."""

import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = {file.stem: file for file in sorted((Path(__file__).parents[2] / "examples").glob("*.py"))}
NEEDED = {"lightning_module": "lightning", "huggingface_trainer": "accelerate", "plain_loop": "torch"}


def test_every_example_is_tried():
    assert set(EXAMPLES) == set(NEEDED)


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_an_example_learns_and_leaves_something_out(name, capsys):
    pytest.importorskip(NEEDED[name], reason=f"{NEEDED[name]} isn't installed")
    runpy.run_path(str(EXAMPLES[name]), run_name="__main__")
    told = capsys.readouterr().out.splitlines()[-1]
    assert float(re.search(r"accuracy ([\d.]+)", told)[1]) > 0.9
    if found := re.search(r"trained on (\d+) of (\d+) samples", told):
        assert int(found[1]) < 0.9 * int(found[2])
    else:
        assert int(re.search(r"with (\d+) weights", told)[1]) == 819
