"""What a change re-runs: exactly what it touches."""

import json
import os
import shutil
import time
from contextlib import contextmanager

import pytest

from frugal import failed
from frugal.errors import FrugalError
from frugal.faults.accidents import LETTERS, write_letters
from workflow.conftest import STUDY, Workflow

LETTERS_RECORD = "results/demo/runs/compression/letters/cnn-tiny/full/seed-0/metrics.json"
OF_EACH = dict.fromkeys(
    ("inference_seconds", "checkpoint_seconds", "other_seconds", "peak_memory_bytes", "energy_joules", "energy_source")
)  # measured anew
AFTER_TRAINING = {"tabulate": 1, "render": 1, "overview": 1, "index": 1}


@contextmanager
def edited(file, addition="\n# an edit\n"):
    before = file.read_text()
    file.write_text(before + addition)
    try:
        yield
    finally:
        file.write_text(before)


def test_a_finished_study_has_nothing_to_do(finished):
    assert finished.planned() == {}


def test_a_card_is_made_of_a_cache_that_is_there_and_no_cache_for_a_card(finished):
    cache = finished.folder / "results/demo/data/digits"
    card, manifest = (cache / name for name in ("README.md", "manifest.json"))
    assert "| 9 | " in card.read_text(), "samples of each class"
    aside = [file.rename(file.with_suffix(".aside")) for file in (card, manifest)]
    try:
        assert finished.planned() == {}
        aside[1].rename(manifest)
        assert finished.planned() == {"card": 1}
    finally:
        for moved, file in zip(aside, (card, manifest), strict=True):
            if moved.exists():
                moved.rename(file)


def test_a_record_that_was_removed_is_made_again(finished):
    record = finished.folder / "results/demo/runs/compression/digits/cnn-tiny/full/seed-0/metrics.json"
    aside = record.rename(record.with_name("aside"))
    try:
        assert finished.planned() == {"train": 1, **AFTER_TRAINING}
    finally:
        aside.rename(record)


@pytest.mark.parametrize(
    ("file", "jobs"),
    [("reports/compression.html", {"render": 1}), ("tables/compression/audit.csv", {"tabulate": 1, "render": 1})],
)
def test_a_page_or_a_table_that_was_removed_is_made_again(finished, file, jobs):
    there = finished.folder / "results/demo" / file
    aside = there.rename(there.with_name("aside"))
    try:
        assert finished.planned() == {**jobs, "overview": 1, "index": 1}
    finally:
        aside.rename(there)


def test_touching_every_file_changes_nothing(finished):
    later = time.time()
    for part in ("scripts", "config", "notebooks", "workflow"):
        for file in (finished.folder / part).rglob("*"):
            os.utime(file, (later, later))
    assert finished.planned() == {}


def test_editing_one_strategy_retrains_only_its_cells(finished):
    with edited(finished.folder / "scripts/frugal/strategies/full.py"):
        assert finished.planned() == {"train": 1, **AFTER_TRAINING}
        assert finished.trained == {"full"}
    with edited(finished.folder / "scripts/frugal/strategies/compression.py"):
        assert finished.planned() == {"train": 3, **AFTER_TRAINING}
        assert finished.trained == {"fixed-16", "ema-4-16", "random-4-16"}


@pytest.mark.parametrize(
    ("file", "jobs"),
    [
        ("scripts/frugal/report/statistics.py", {"tabulate": 1, "render": 1, "overview": 1, "index": 1}),
        ("scripts/frugal/report/theme.py", {"render": 1, "overview": 1, "index": 1}),
        ("scripts/index.py", {"overview": 1, "index": 1}),
    ],
)
def test_editing_analysis_code_retrains_nothing(finished, file, jobs):
    with edited(finished.folder / file):
        assert finished.planned() == jobs


def test_a_changed_recipe_retrains_and_a_changed_label_does_not(finished):
    config = finished.folder / "config/studies/compression.yaml"
    before = config.read_text()
    try:
        config.write_text(before.replace("label: uncompressed images", "label: whole images"))
        assert "train" not in finished.planned()
        config.write_text(before.replace("k_hi: 16\n    control: true", "k_hi: 12\n    control: true", 1))
        assert finished.planned()["train"] == 1
        assert finished.trained == {"fixed-16"}
    finally:
        config.write_text(before)


def test_one_cell_is_run_again_by_its_path(finished):
    cell = "results/demo/runs/compression/digits/cnn-tiny/fixed-16/seed-0/metrics.json"
    record = (finished.folder / cell).read_text()
    assert finished.planned(cell, "--force") == {"train": 1}
    (finished.folder / cell).unlink()
    done = finished.snakemake(cell)
    assert done.returncode == 0, done.stderr
    assert (finished.folder / cell).read_text().splitlines()[:15] == record.splitlines()[:15]


def test_a_control_waits_for_the_run_it_follows(fresh):
    path = "results/demo/runs/compression/digits/cnn-tiny/random-4-16/seed-1/metrics.json"
    assert fresh.planned(path) == {"prepare": 1, "train": 2}
    assert fresh.trained == {"random-4-16", "ema-4-16"}


def test_a_dry_run_counts_every_cell(fresh):
    for scale, counts in (
        ("demo", {"train_compression": 1}),  # all 42 runs in one job
        ("standard", {"train": 19 * 3}),
        ("published", {"train": 19 * 5}),
    ):
        planned = fresh.planned(config=("studies=[compression]", f"scale={scale}"))
        assert planned == {"prepare": 1, "card": 1, **counts, **AFTER_TRAINING}
    demo = fresh.planned(config=("studies=[pruning]",))
    assert (demo["prepare"], demo["train_pruning"]) == (4, 4)  # one data set of each modality
    cpu = fresh.planned(config=("studies=[pruning]", "scale=cpu"))["train"]
    assert cpu == 4 * (5 + 3 + 3 + 2 + 1)  # each task has its own seeds
    override = "override={seeds: [3, 5, 8, 13], grouped: false}"
    assert (
        fresh.planned(config=("studies=[compression]", override))["train"] == (12 + 2) * 4
    )  # the baseline at two budgets more


def test_the_workflow_is_planned_without_torch(fresh, tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported, which takes longer than the plan')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert fresh.planned("results/demo/index.html")["train"] == 4


TINY = "strategies: [full, fixed-16, ema-4-16, random-4-16], seeds: 1, budgets: []"


def under(results, override=f"{TINY}, recipe: {{epochs: 2}}, grouped: false"):
    """The small study with its results elsewhere, of which this checkout's Snakemake knows nothing."""
    return ("studies=[compression]", f"override={{{override}}}", f"results={results}")


@pytest.fixture
def copied(finished, tmp_path):
    """The finished results as `cp -r` brings them elsewhere."""
    shutil.copytree(finished.folder / "results", tmp_path / "results")
    now = int(time.time())  # other tests may have made records again: here no file is newer than another
    for file in (tmp_path / "results").rglob("*"):
        os.utime(file, (now, now))
    return tmp_path / "results"


def test_copied_results_are_done_and_due_again_under_other_settings(finished, copied):
    assert finished.planned(config=under(copied)) == {}
    other = under(copied, f"{TINY}, recipe: {{epochs: 500}}, grouped: false")
    assert finished.planned(config=other) == {"train": 4, **AFTER_TRAINING}
    assert finished.said.count("records of study compression are due again: recipe.epochs was 2, is 500") == 1
    with edited(finished.folder / "scripts/frugal/strategies/full.py"):
        assert finished.planned(config=under(copied)) == {"train": 1, **AFTER_TRAINING}
        assert "1 record of study compression is due again: other code: frugal/strategies/full.py" in finished.said
    grouped = under(copied, f"{TINY}, recipe: {{epochs: 2}}, grouped: true")
    assert finished.planned(config=grouped) == {"train_compression": 1, **AFTER_TRAINING}, "its stamp is not there yet"
    margin = under(copied, f"{TINY}, margin: 0.3, recipe: {{epochs: 2}}, grouped: false")
    assert finished.planned(config=margin) == AFTER_TRAINING, "no record is due, but what tables say of them"
    assert "tables of study compression are due again: other margin" in finished.said


def test_a_cache_that_was_made_for_another_entry_is_prepared_again(finished, copied):
    """As after an edit, or where another checkout shares the caches; copied results bring no metadata of Snakemake's."""
    entries = finished.folder / "config/datasets.yaml"
    before = entries.read_text()
    assert finished.planned("--rerun-triggers", "mtime", config=under(copied)) == {}
    entries.write_text(before.replace("  validation: 180\n", "  validation: 200\n", 1))
    try:
        planned = finished.planned("--rerun-triggers", "mtime", config=under(copied))
    finally:
        entries.write_text(before)
    assert planned == {"prepare": 1, "card": 1, "train": 4, **AFTER_TRAINING}
    assert "data set digits is prepared again: validation was 180, is 200" in finished.said


def test_tables_without_a_run_that_failed_since_are_made_once(finished, copied, monkeypatch):
    run, tables = copied / "demo/runs/compression/digits/cnn-tiny/fixed-16/seed-0", copied / "demo/tables/compression"
    table = f"{tables}/runs.csv"
    (run / "metrics.json").unlink()
    failed.leave(run, json.loads((run / "manifest.json").read_text())["spec"], FrugalError("broken; mend it"))
    monkeypatch.setenv("FRUGAL_SETTLED", "1")  # as `failed.smk` plans once more
    assert finished.planned(table, config=under(copied)) == {"tabulate": 1}
    assert "tables of study compression are due again: other failed runs" in finished.said
    done = finished.snakemake(table, config=under(copied))
    assert done.returncode == 0, done.stderr
    assert ",fixed-16," not in (tables / "runs.csv").read_text()
    assert "run failed,digits,cnn-tiny,fixed-16/seed-0,broken; mend it" in (tables / "audit.csv").read_text()
    assert finished.planned(table, config=under(copied)) == {}


def test_damaged_records_are_planned_again_and_nothing_else_is(finished, copied):
    runs = copied / "demo/runs/compression/digits/cnn-tiny"
    (runs / "full/seed-0/metrics.json").write_bytes(b"\xff{")
    (runs / "fixed-16/seed-0/history.csv").unlink()
    (runs / "fixed-16/seed-0/history.csv").mkdir()
    assert finished.planned(config=under(copied)) == {"train": 2, **AFTER_TRAINING}
    assert finished.trained == {"full", "fixed-16"}
    assert "metrics.json: its seal is broken" in finished.said
    assert "history.csv: it can't be read (Is a directory)" in finished.said
    one = f"{runs}/ema-4-16/seed-0/metrics.json"
    assert finished.planned(one, config=under(copied)) == {}, "what isn't asked for isn't made"
    assert finished.planned(f"{runs}/full/seed-0/metrics.json", config=under(copied)) == {"train": 1}
    grouped = under(copied, f"{TINY}, recipe: {{epochs: 2}}, grouped: true")
    assert finished.planned(config=grouped) == {"train_compression": 1, **AFTER_TRAINING}


def test_a_figure_changed_by_hand_never_reaches_a_table(finished, copied):
    metrics = copied / "demo/runs/compression/digits/cnn-tiny/full/seed-0/metrics.json"
    before = metrics.read_text()
    true = json.loads(before)["test_accuracy"]
    metrics.write_text(before.replace(f'"test_accuracy": {true}', '"test_accuracy": 0.9999'))
    table = f"{copied}/demo/tables/compression/runs.csv"
    done = finished.snakemake(table, config=under(copied))
    assert done.returncode == 0, done.stderr
    assert json.loads(metrics.read_text())["test_accuracy"] == true, "made again from its finished checkpoint"
    assert "0.9999" not in (copied / "demo/tables/compression/runs.csv").read_text()


@pytest.fixture
def lettered(tmp_path):
    """A checkout with a data set of the user's, on which one run is done; the data's folder; and the config."""
    workflow, data = Workflow(tmp_path / "checkout"), tmp_path / "data"
    with open(workflow.folder / "config/datasets.yaml", "a") as file:
        file.write(LETTERS)
    write_letters(data / "letters")
    override = (
        "{strategies: [full], seeds: 1, budgets: [], recipe: {epochs: 1}, grouped: false, datasets: [letters],"
        " models: [cnn-tiny]}"
    )
    config = (STUDY, f"override={override}", f"data={data}")
    done = workflow.snakemake(LETTERS_RECORD, config=config)
    assert done.returncode == 0, done.stderr
    return workflow, data, config


def test_changed_data_is_prepared_and_trained_again_and_touched_data_keeps_its_figures(lettered):
    workflow, data, config = lettered
    assert workflow.planned(LETTERS_RECORD, config=config) == {}
    record = workflow.folder / LETTERS_RECORD
    before = json.loads(record.read_text())
    labels = data / "letters/train-labels"
    os.utime(labels, (1, 1))
    assert workflow.planned(LETTERS_RECORD, config=config) == {"prepare": 1, "train": 1}
    assert (
        f"data set letters is prepared again: {labels} has another time than when the cache was made" in workflow.said
    )
    done = workflow.snakemake(LETTERS_RECORD, config=config)
    assert done.returncode == 0, done.stderr
    assert "the cache stays" in (workflow.folder / "results/demo/data/letters/prepare.log").read_text()
    assert json.loads(record.read_text()) | OF_EACH == before | OF_EACH, "from its finished checkpoint"
    assert workflow.planned(LETTERS_RECORD, config=config) == {}

    elsewhere = data.with_name("elsewhere")
    shutil.copytree(data, elsewhere)
    content = bytearray((elsewhere / "letters/train-labels").read_bytes())
    content[-9:] = reversed(content[-9:])
    (elsewhere / "letters/train-labels").write_bytes(content)
    moved = (*config[:-1], f"data={elsewhere}")
    assert workflow.planned(LETTERS_RECORD, config=moved) == {"prepare": 1, "train": 1}
    done = workflow.snakemake("results/demo/data/letters/manifest.json", config=moved)
    assert done.returncode == 0, done.stderr
    os.utime(workflow.folder / "results/demo/data/letters/manifest.json", (1, 1))  # older than the record
    shutil.rmtree(workflow.folder / ".snakemake")
    assert workflow.planned(LETTERS_RECORD, config=moved) == {"train": 1}
    assert "1 record of study compression is due again: data set letters has other content" in workflow.said
