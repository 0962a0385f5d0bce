"""config/adding.md is followed to the letter, on data that the repository has never seen."""

import json
import re
import subprocess

import pytest
import yaml

from frugal.faults.accidents import write_letters
from frugal.plan import Plan
from workflow.conftest import ROOT, Workflow

GUIDE = ROOT / "config/adding.md"
KINDS = ("image", "table", "text", "table", "text", "image", "image")  # of its data sets
BLOCK = re.compile(r"^`([\w./]+)`:\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A checkout with everything in the guide added, and the idx files it speaks of."""
    workflow = Workflow(tmp_path_factory.mktemp("extended"))
    blocks = BLOCK.findall(GUIDE.read_text())
    assert len(blocks) == 13
    for name, content in blocks:
        (workflow.folder / name).parent.mkdir(parents=True, exist_ok=True)
        with open(workflow.folder / name, "a") as file:
            file.write(("\n" if file.tell() else "") + content)
    write_letters(workflow.folder / "data/letters")
    return workflow


def test_git_ignores_every_file_that_the_guide_has_one_write():
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout of git")
    names = {name for name, _ in BLOCK.findall(GUIDE.read_text())}
    found = subprocess.run(["git", "-C", ROOT, "check-ignore", *names], capture_output=True, text=True, check=False)
    assert set(found.stdout.split()) == names


def test_a_data_set_a_model_and_a_strategy_take_one_entry_or_file_each(extended):
    path = "results/demo/runs/mine/letters/flat-32/hardest/seed-1/metrics.json"
    done = extended.snakemake(path, config=("studies=[mine]", "data=data"))
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads((extended.folder / path).read_text())
    assert figures["samples_backpropagated"] == 800 + 5 * 400
    assert figures["test_accuracy"] > 0.6
    code = json.loads((extended.folder / path).with_name("manifest.json").read_text())["code"]
    assert {"frugal/strategies/local_hardest.py", "frugal/models/local_flat.py"} <= set(code)


def test_a_study_of_ones_own_is_planned_and_reported_by_the_overview(extended):
    found = extended.planned(config=("studies=[mine]", "data=data"))
    assert found["train"] in (14, 15), "the one above may be done"
    assert found["render"] == 0
    assert found["overview"] == found["index"] == 1


def test_a_data_set_never_seen_runs_through_compression_and_infobatch_by_config_alone(extended):
    override = "override={datasets: [letters], models: [cnn-small], grouped: false}"
    found = extended.planned(config=("studies=[compression,infobatch]", "data=data", override))
    assert found["train"] == (12 + 2 + 9 + 2) * 3


def test_the_study_for_ones_own_data_takes_one_data_set_or_several_on_one_page(extended):
    one = "override={datasets: [letters], models: [cnn-small]}"
    found = extended.planned(config=("scale=own", "data=data", "results=results/letters", one))
    assert (found["train"], found["render"]) == ((11 + 2) * 5, 1)
    pairs = (
        "{dataset: letters, model: cnn-small}, {dataset: sales, model: mlp, target_accuracy: 0.7, recipe: {epochs: 9}}"
    )
    found = extended.planned(
        config=("scale=own", "data=data", "results=results/mine", f"override={{tasks: [{pairs}]}}")
    )
    assert (found["prepare"], found["train"]) == (2, (11 + 2 + 9 + 2) * 5)


def test_every_data_set_of_the_guide_can_be_used_in_the_study_for_ones_own(extended):
    folder = extended.folder / "config"
    nets = {"image": "cnn-small", "table": "mlp", "text": "transformer-small"}
    config = yaml.safe_load((folder / "config.yaml").read_text()) | {"scale": "own", "studies": ["own"]}
    left_out = {}
    names = list(yaml.safe_load((folder / "local/datasets.yaml").read_text()))
    for name, kind in zip(names, KINDS, strict=True):
        override = {"datasets": [name], "models": [nets[kind]]}
        (study,) = Plan({**config, "override": override}, folder).studies.values()
        left_out[name] = {one.strategy: one.why for one in study.skipped}
    absent = {"frequency-curriculum", "short-as-frequency-curriculum"}
    assert {name for name, whys in left_out.items() if whys} == {*names} - {"birds", "letters"}
    assert all(whys.keys() == absent for whys in left_out.values() if whys)
    assert left_out["fashion"]["frequency-curriculum"].endswith(f", in {folder / 'local/datasets.yaml'}: fashion")
