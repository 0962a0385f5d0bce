"""One run that fails takes nothing with it: the others' records, tables, report and index stand, and it is named everywhere."""

import csv
import json
import subprocess
from typing import NamedTuple

import pytest

from frugal.faults.accidents import LETTERS, write_letters
from workflow.conftest import Workflow

pytestmark = pytest.mark.xdist_group(
    "failed runs"
)  # beside the other tests of the workflow, whose checkouts it doesn't use

STRATEGY = '''"""Fails in the second epoch."""

from dataclasses import dataclass
from typing import Any

from frugal.errors import FrugalError
from frugal.strategies.base import Strategy


@dataclass
class Failing(Strategy):
    """As the whole training, as far as it gets."""

    def after_epoch(self, trainer: Any) -> None:
        """No further than this."""
        if trainer.epoch == 1:
            raise FrugalError("the second epoch is one too many; mend it")
'''
ENTRIES = """
  failing:
    use: failing
  follower:
    use: random_subset
    follows: failing
    control: true
"""
RUNS = "results/demo/runs/infobatch/digits/cnn-tiny"
TABLES = "results/demo/tables/infobatch/runs.csv"


def config(grouped, seeds):
    names = "[full, infobatch, failing, follower]"
    settings = f"strategies: {names}, budgets: [], datasets: [digits], models: [cnn-tiny], seeds: {seeds}"
    return (
        "studies=[infobatch]",
        "device=cpu",
        f"override={{{settings}, recipe: {{epochs: 2}}, grouped: {str(grouped).lower()}}}",
    )


class Failed(NamedTuple):
    """A checkout whose study was run with a strategy that fails, the study's settings and seeds, and what the command said.

    asked: what is asked for: everything, or the tables, which need all runs
    """

    workflow: Workflow
    settings: tuple[str, ...]
    seeds: range
    asked: tuple[str, ...]
    done: subprocess.CompletedProcess

    @property
    def others(self):
        """The runs that don't fail."""
        return {f"{strategy}/seed-{seed}" for strategy in ("full", "infobatch") for seed in self.seeds}


# Two seeds in one job, to the last page; where each run is a job of its own, one seed has all kinds of them, to the tables.
@pytest.fixture(scope="module", params=[(True, 2, ()), (False, 1, (TABLES,))], ids=["grouped", "ungrouped"])
def failed(request, tmp_path_factory):
    workflow = Workflow(tmp_path_factory.mktemp("failing"))
    (workflow.folder / "scripts/frugal/strategies/failing.py").write_text(STRATEGY)
    study = workflow.folder / "config/studies/infobatch.yaml"
    study.write_text(study.read_text().replace("\nstrategies:\n", f"\nstrategies:{ENTRIES}", 1))
    grouped, seeds, asked = request.param
    settings = config(grouped, seeds)
    return Failed(workflow, settings, range(seeds), asked, workflow.snakemake(*asked, config=settings))


def rows(file):
    with open(file, newline="") as text:
        return list(csv.DictReader(text))


def records(workflow):
    """When each record was made, by strategy and seed."""
    files = sorted((workflow.folder / RUNS).glob("*/seed-*/metrics.json"))
    return {f"{file.parts[-3]}/{file.parts[-2]}": file.stat().st_mtime_ns for file in files}


def test_all_but_what_failed_is_there_and_the_command_fails_and_says_why(failed):
    workflow, done = failed.workflow, failed.done
    results = workflow.folder / "results/demo"
    assert done.returncode != 0
    assert records(workflow).keys() == failed.others
    assert len(rows(results / "tables/infobatch/runs.csv")) == len(failed.others)
    audit = [row for row in rows(results / "tables/infobatch/audit.csv") if row["finding"] == "run failed"]
    assert [(row["runs"], row["detail"].split(";")[0]) for row in audit] == [
        *((f"failing/seed-{seed}", "the second epoch is one too many") for seed in failed.seeds),
        *((f"follower/seed-{seed}", "not run: it follows failing, which failed") for seed in failed.seeds),
    ]
    if not failed.asked:
        assert (results / "index.html").stat().st_size > 0
        assert "failing/seed-0: the second epoch is one too many" in (results / "reports/infobatch.html").read_text()
        assert done.stdout.splitlines()[-1] == "open results/demo/index.html"
    several = f"{len(failed.seeds)} runs of model cnn-tiny, the first " if len(failed.seeds) > 1 else ""
    folder = "runs/infobatch/digits/cnn-tiny"
    assert [line.split(";")[0] for line in done.stderr.strip().splitlines()[-2:]] == [
        f"frugal: failed: {several}{folder}/failing/seed-0: the second epoch is one too many",
        f"frugal: failed: {several}{folder}/follower/seed-0: not run: it follows failing, which failed",
    ]
    left = json.loads((workflow.folder / RUNS / "failing/seed-0/failed.json").read_text())
    assert left["why"] == "the second epoch is one too many; mend it"
    assert left["spec"]["strategy"]["name"] == "failing"
    assert (workflow.folder / left["log"]).read_text().endswith("mend it\n")


def test_a_failing_run_that_is_asked_for_by_its_path_fails(failed):
    workflow, settings = failed.workflow, failed.settings
    path = f"{RUNS}/failing/seed-0/metrics.json"
    done = workflow.snakemake(path, config=settings)
    assert done.returncode != 0
    assert not (workflow.folder / path).exists()
    assert records(workflow).keys() == failed.others
    assert workflow.snakemake(f"{RUNS}/full/seed-0/metrics.json", config=settings).returncode == 0


def test_started_again_only_what_failed_is_tried_and_mended_it_is_whole(failed):
    workflow, settings, asked = failed.workflow, failed.settings, (TABLES,)
    before = records(workflow)
    again = workflow.snakemake(*asked, config=settings)
    assert again.returncode != 0
    assert records(workflow) == before
    strategy = workflow.folder / "scripts/frugal/strategies/failing.py"
    strategy.write_text(STRATEGY.replace("trainer.epoch == 1", "trainer.epoch == 7"))
    mended = workflow.snakemake(*asked, config=settings)
    assert mended.returncode == 0, mended.stderr[-3000:]
    after = records(workflow)
    assert {name: after[name] for name in before} == before
    assert len(after) == 2 * len(before)
    results = workflow.folder / "results/demo"
    assert len(rows(results / "tables/infobatch/runs.csv")) == len(after)
    assert not [row for row in rows(results / "tables/infobatch/audit.csv") if row["finding"] == "run failed"]
    assert not list((workflow.folder / RUNS).glob("*/seed-*/failed.json"))
    assert workflow.planned(*asked, config=settings) == {}
    (workflow.folder / RUNS / "full/seed-0/metrics.json").unlink()
    assert workflow.planned(config=settings)["train"] == 1


def test_a_data_set_that_cannot_be_prepared_takes_its_own_runs_alone(tmp_path_factory):
    workflow = Workflow(tmp_path_factory.mktemp("unprepared"))
    with open(workflow.folder / "config/datasets.yaml", "a") as file:
        file.write(LETTERS)
    settings = "strategies: [full], budgets: [], datasets: [letters, digits], models: [cnn-tiny], seeds: 1"
    settings = ("studies=[infobatch]", "device=cpu", f"override={{{settings}, recipe: {{epochs: 1}}, grouped: true}}")
    done = workflow.snakemake(TABLES, config=(*settings, f"data={workflow.folder}"))
    assert done.returncode != 0
    assert [row["dataset"] for row in rows(workflow.folder / TABLES)] == ["digits"]
    assert done.stderr.count("prepare letters") == 1, "it isn't tried again for the tables without it"
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("frugal: failed: data set letters can't be prepared: train-images is missing")
    assert last.endswith("; results/demo/data/letters/prepare.log; 1 run on it left out")
    found = rows((workflow.folder / TABLES).with_name("audit.csv"))
    (audit,) = (row for row in found if row["finding"] == "run failed")
    assert audit["runs"] == "full/seed-0"
    assert audit["detail"].startswith("not run: data set letters can't be prepared: train-images is missing")
    write_letters(workflow.folder / "letters")
    before = records(workflow)
    mended = workflow.snakemake(TABLES, config=(*settings, f"data={workflow.folder}"))
    assert mended.returncode == 0, mended.stderr[-3000:]
    assert [row["dataset"] for row in rows(workflow.folder / TABLES)] == ["letters", "digits"]
    assert records(workflow) == before
    assert not list((workflow.folder / "results").rglob("failed.json"))
    mistyped = workflow.snakemake(TABLES, config=(*settings, f"data={workflow.folder / 'wrong'}"))
    assert mistyped.returncode != 0
    assert list((workflow.folder / "results").rglob("failed.json"))
    again = workflow.snakemake(TABLES, config=(*settings, f"data={workflow.folder}"))
    assert again.returncode == 0, again.stderr[-3000:]
    assert records(workflow) == before
    assert not list((workflow.folder / "results").rglob("failed.json")), "its cache was there all the time"
