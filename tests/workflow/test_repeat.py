"""The commands on the pages that repeat a study: Snakemake plans for them what the tables are of, and nothing else."""

import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from frugal.config import Config
from frugal.plan import Plan
from frugal.report import repeat
from frugal.report.links import Links
from frugal.study import read_study
from frugal.yamlfile import read_yaml
from workflow.conftest import ROOT

CELL = ("digits", "cnn-tiny", "fixed-16")
OVERRIDE = {
    "strategies": {"fixed-16": {"k_hi": "12"}},
    "seeds": ["1", "2", "7"],
    "budgets": [],
    "recipe": {"grad_clip": "null", "epochs": "2"},
    "grouped": "false",
}  # as Snakemake hands over what a command line says


@pytest.fixture
def results(tmp_path):
    return tmp_path / "out 1"


@pytest.fixture
def study(results):
    """As study.json has it of a plan with an override, and with results in a folder of its own."""
    own = {"studies": ["compression"], "results": str(results), "override": OVERRIDE}
    plan = Plan(read_yaml(ROOT / "config/config.yaml") | own, ROOT / "config")
    return read_study(plan.studies["compression"].model_dump_json(exclude={"plans"}))


def words(command):
    """A command's words as a shell hands them over, without the name of the program."""
    done = subprocess.run(["bash", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[1:]


def test_the_command_of_a_row_plans_the_runs_of_that_row_alone(fresh, results, study):
    command = Links(results / "demo", Path("index.html"), []).command(study, *CELL, [1, 2, 7])
    assert fresh.planned(*words(command), config=()) == {"prepare": 1, "train": 3}
    assert sorted(re.findall(r"fixed-16 on digits/cnn-tiny, seed (\d)", fresh.said)) == ["1", "2", "7"]


def test_the_command_of_a_report_plans_its_study_again_where_its_results_are(fresh, results, study):
    _, _, command, _ = repeat.lines(study, ["abc"], "notebooks/compression.ipynb")
    assert fresh.planned(*words(command), config=())["train"] == len(list(study.runs())) > 30
    assert f"{results}/demo/index.html" in fresh.said
    assert "'override={strategies: {fixed-16: {k_hi: 12}}, seeds: [" in command, "for readers too"


def test_files_of_ones_own_are_told_from_those_of_the_repository(study, tmp_path):
    code = repeat.own_code(["frugal/strategies/local_mine.py", "frugal/strategies/infobatch.py"])
    assert code == "scripts/frugal/strategies/local_mine.py"
    assert repeat.own_code(["frugal/localise.py"]) is None
    runs = pd.DataFrame({"own_code": [code, None]})
    own = study.model_copy(update={"datasets": ["digits", "letters"]})
    here = ROOT / "config"
    assert repeat.lacking(study, runs.drop(columns="own_code"), here) == []
    assert repeat.lacking(own, runs, here) == [str(here / "local/datasets.yaml"), code]
    assert repeat.lacking(own, runs, tmp_path / "none") == [code], "without a config nothing is known of entries"


def test_tables_that_do_not_say_with_which_configuration_have_no_command(results, study):
    old = study.model_copy(update={"config": None})
    said = repeat.lines(old, ["abc"], "notebooks/compression.ipynb")
    assert said[2].startswith("# not known"), "a comment of the shell, and no other study's command"
    assert Links(results / "demo", Path("index.html"), []).command(old, *CELL, [1]) is None


def test_what_only_the_speed_of_a_machine_depends_on_is_left_out():
    own = Config(workers=2, scratch="/x", keep=["model"], device="cpu")
    assert own.repeated == {"keep": "[model]", "device": "cpu"}
