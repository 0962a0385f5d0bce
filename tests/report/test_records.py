import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from frugal import failed
from frugal.bench import records as invented
from frugal.errors import FrugalError
from frugal.record import KEPT
from frugal.report import reported
from frugal.report.records import _check_agreement, read_records
from frugal.report.schema import Metrics
from frugal.report.tables import tabulate
from frugal.study import study_of
from report import factory

SHOWN = Path(__file__).parents[2] / "results/shown"
GIVEN = factory.study(strategies=["full", "ema-4-16"], seeds=[0, 1])


def change(**keys):
    """A spoiler that changes keys of a JSON file; a value of `...` removes the key."""

    def spoil(path):
        content = json.loads(path.read_text()) | keys
        path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))

    return spoil


def cut(path):
    path.write_text(path.read_text()[:-9])


def rename_column(path):
    path.write_text(path.read_text().replace("val_accuracy", "accuracy", 1))


def text_in_column(path):
    head, first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([head, first.replace("0.9,", "high,", 1), *rest]) + "\n")


def remove(path):
    path.unlink()


def scramble(path):
    path.write_bytes(b"\xff\xfe\x00")


@pytest.mark.parametrize(
    ("file", "spoil", "said"),
    [
        ("metrics.json", remove, "missing"),
        ("metrics.json", change(schema=0), "its schema is 0, this version reads 1"),
        ("manifest.json", change(schema=...), "its schema is None"),
        ("metrics.json", lambda path: path.write_text("[]"), "valid dictionary"),
        ("metrics.json", cut, "not valid JSON"),
        ("metrics.json", scramble, "cannot be read"),
        ("metrics.json", change(test_accuracy=...), "test_accuracy"),
        ("metrics.json", change(test_accuracy=97.5), "test_accuracy"),
        ("metrics.json", change(test_accuracy=float("nan")), "test_accuracy"),
        ("metrics.json", change(test_accuracy=None), "test_accuracy"),
        ("metrics.json", change(bytes_read="many"), "bytes_read"),
        ("metrics.json", change(energy_joules=None, energy_source=""), "energy_source"),
        ("metrics.json", change(seed=7), "ema-4-16/7"),
        ("metrics.json", change(strategy="full"), "/full/"),
        ("manifest.json", remove, "missing"),
        ("manifest.json", change(code=...), "code"),
        ("manifest.json", change(fingerprint="another"), "fingerprint"),
        ("history.csv", remove, "missing"),
        ("history.csv", rename_column, "val_accuracy"),
        ("history.csv", text_in_column, "not a number"),
        ("history.csv", lambda path: path.write_text(path.read_text().rsplit("\n", 2)[0] + "\n"), "2 rows"),
        ("iterations.csv", remove, "missing"),
        ("iterations.csv", cut, "whole rows"),
        ("iterations.csv", lambda path: path.write_text("loss\n"), "columns"),
    ],
)
def test_broken_record_is_named_in_one_line(tmp_path, file, spoil, said):
    factory.write_runs(tmp_path, GIVEN)
    path = tmp_path / "runs/compression/digits/cnn-tiny/ema-4-16/seed-1" / file
    spoil(path)
    found = read_records(study_of(GIVEN), tmp_path)
    assert [(run.cell.strategy, run.seed) for run in found.left_out] == [("ema-4-16", 1)]
    assert len(found.records) == 3, "the rest is read"
    why = found.left_out[0].why
    assert str(path) in why
    assert said in why
    assert "\n" not in why


def test_without_any_run_of_the_baseline_there_is_nothing_to_compare(tmp_path):
    factory.write_runs(tmp_path, GIVEN)
    for seed in (0, 1):
        cut(tmp_path / f"runs/compression/digits/cnn-tiny/full/seed-{seed}/metrics.json")
    with pytest.raises(FrugalError, match="full/seed-0/metrics.json is broken"):
        read_records(study_of(GIVEN), tmp_path)


def test_what_is_no_run_of_the_study_is_named(tmp_path):
    factory.write_runs(tmp_path, GIVEN | {"seeds": [0, 1, 2]})
    top = tmp_path / "runs/compression"
    (top / "notes.txt").write_text("mine")
    (top / "digits/cnn-tiny/full/seed-0/checkpoints").mkdir()
    for kept in KEPT.values():
        (top / "digits/cnn-tiny/full/seed-0" / kept).write_text("")
    (top / "digits/cnn-tiny/full/seed-0/metrics (copy).json").write_text("{}")
    cell = "runs/compression/digits/cnn-tiny"
    assert read_records(study_of(GIVEN), tmp_path).foreign == [
        f"{cell}/ema-4-16/seed-2",
        f"{cell}/full/seed-0/metrics (copy).json",
        f"{cell}/full/seed-2",
        "runs/compression/notes.txt",
    ]


def test_one_column_more_is_welcome(tmp_path):
    factory.write_runs(tmp_path, GIVEN)
    change(live_heads=12)(tmp_path / "runs/compression/digits/cnn-tiny/full/seed-0/metrics.json")
    first = read_records(study_of(GIVEN), tmp_path).records[0]
    assert first.metrics.model_dump()["live_heads"] == 12


def test_only_the_runs_of_the_study_are_read(tmp_path):
    factory.write_runs(tmp_path, GIVEN)
    found = read_records(study_of(GIVEN | {"seeds": [1]}), tmp_path)
    assert [(record.cell.strategy, record.seed) for record in found.records] == [("full", 1), ("ema-4-16", 1)]


def read(tmp_path, caches=None, **changes):
    return read_records(study_of(GIVEN | changes), tmp_path, caches)


def sealed(tmp_path, **about):
    """A study whose records are sealed; returns the folder of one of them."""
    factory.write_runs(tmp_path, GIVEN)
    for strategy in GIVEN["strategies"]:
        for seed in GIVEN["seeds"]:
            factory.seal(folder := tmp_path / f"runs/compression/digits/cnn-tiny/{strategy}/seed-{seed}")
    return folder


def why(found):
    """Why one record, that of the last run, was left out."""
    assert [(run.cell.strategy, run.seed) for run in found.left_out] == [("ema-4-16", 1)]
    return found.left_out[0].why


@pytest.mark.parametrize(
    ("file", "spoil"),
    [
        ("metrics.json", change(test_accuracy=0.999)),
        ("metrics.json", change(energy_source="a better meter")),
        ("history.csv", lambda path: path.write_text(path.read_text().replace("0.9,0.1", "0.9,0.2", 1))),
        ("iterations.csv", lambda path: path.write_text(path.read_text().replace("1,1,3.", "1,1,2.", 1))),
        ("trace.csv", lambda path: path.write_text("epoch,batch\n1,1\n")),
        ("manifest.json", change(data_checksum="that of others")),
        ("manifest.json", lambda path: path.write_text(path.read_text().replace("Invented", "Expensive"))),
    ],
)
def test_a_sealed_record_that_was_changed_by_hand_is_named_and_left_out(tmp_path, file, spoil):
    folder = sealed(tmp_path)
    assert read(tmp_path).left_out == []
    before = (folder / file).read_text()
    spoil(folder / file)
    assert (folder / file).read_text() != before
    said = why(read(tmp_path))
    assert str(folder / file) in said
    assert "seal" in said
    assert f"--force {folder}/metrics.json" in said, "the command that makes it again"


@pytest.mark.parametrize("key", ["val_accuracy", "flops_executed", "train_seconds"])
def test_history_and_metrics_that_disagree_are_left_out_whoever_sealed_them(tmp_path, key):
    folder = sealed(tmp_path)
    figures = json.loads((folder / "metrics.json").read_text())
    change(**{key: figures[key] * 0.9})(folder / "metrics.json")
    factory.seal(folder)
    assert f"its {key} is {figures[key] * 0.9}, history.csv says {figures[key]}" in why(read(tmp_path))


def with_cpu_seconds(folder, told, **keys):
    """A record, sealed, whose history says CPU seconds too, `told` of them in the end. keys: of its metrics.json"""
    history = pd.read_csv(folder / "history.csv")
    history["cpu_seconds"] = np.linspace(told / len(history), told, len(history))
    history.to_csv(folder / "history.csv", index=False)
    change(**keys)(folder / "metrics.json")
    factory.seal(folder)


def test_cpu_seconds_are_those_of_the_history_which_older_ones_lack(tmp_path):
    folder = sealed(tmp_path)
    assert read(tmp_path).left_out == []
    with_cpu_seconds(folder, 20.0, cpu_seconds=20.0)
    assert read(tmp_path).left_out == []
    with_cpu_seconds(folder, 0.0, cpu_seconds=None)
    assert read(tmp_path).left_out == [], "not known, since those of the run that it is charged with aren't"
    with_cpu_seconds(folder, 20.0, cpu_seconds=19.9)
    assert "its cpu_seconds is 19.9, history.csv says 20.0" in why(read(tmp_path))


def test_a_run_that_waited_for_longer_than_it_took_is_left_out(tmp_path):
    folder = sealed(tmp_path)
    seconds = json.loads((folder / "metrics.json").read_text())["train_seconds"]
    for queued in (None, 0.0, 0.9 * seconds, seconds + 0.05):  # the last one by what two clocks differ
        change(train_queued_seconds=queued)(folder / "metrics.json")
        factory.seal(folder)
        assert read(tmp_path).left_out == []
    for queued, said in ((1.1 * seconds, "are more than its train_seconds"), (-1.0, "train_queued_seconds")):
        change(train_queued_seconds=queued)(folder / "metrics.json")
        factory.seal(folder)
        assert said in why(read(tmp_path))


@pytest.mark.parametrize("runs", sorted(SHOWN.glob("*/runs")), ids=lambda folder: folder.parent.name)
def test_every_record_that_is_shown_agrees_with_its_history(runs):
    folders = [file.parent for file in runs.rglob("metrics.json")]
    assert folders
    for folder in folders:
        told = Metrics.model_validate_json((folder / "metrics.json").read_bytes())
        _check_agreement(folder, told, pd.read_csv(folder / "history.csv"))


def test_a_record_of_another_plan_is_left_out_and_says_what_differs(tmp_path):
    folder = sealed(tmp_path)
    recipe = GIVEN["recipe"]
    plans = {"digits/cnn-tiny": {"full": "planned", "ema-4-16": "planned"}}
    assert read(tmp_path, plans=plans).left_out == []
    factory.seal(folder, plan="another", spec={"recipe": recipe | {"epochs": 16}})
    assert "made with other settings: recipe.epochs was 16, is 3" in why(read(tmp_path, plans=plans))
    factory.seal(folder, plan="another", spec={"recipe": recipe}, code={"frugal/atomic.py": "0" * 64})
    assert "made by other code: frugal/atomic.py" in why(read(tmp_path, plans=plans))
    change(seal=...)(folder / "manifest.json")
    assert "no seal" in why(read(tmp_path, plans=plans))
    assert read(tmp_path).left_out == [], "tables of older records can still be made where nobody says what was planned"


def test_a_record_of_other_data_than_is_prepared_is_left_out(tmp_path):
    folder = sealed(tmp_path)
    prepared = tmp_path / "data/digits/manifest.json"
    assert read(tmp_path, tmp_path / "data").left_out == [], "without a cache there is nothing to compare"
    prepared.parent.mkdir(parents=True)
    prepared.write_text('{"checksum": "data-of-digits"}')
    assert read(tmp_path, tmp_path / "data").left_out == []
    factory.seal(folder, data_checksum="before the correction")
    assert "made with other data" in why(read(tmp_path, tmp_path / "data"))
    said = why(read(tmp_path, tmp_path / "data", config={"results": "my out", "override": "{seeds: 2}"}))
    assert said.endswith("--config scale=demo 'studies=[compression]' 'results=my out' 'override={seeds: 2}'")
    assert "make it again with: .venv/bin/snakemake --cores all --force " in said


def test_a_control_of_a_run_that_was_made_anew_is_left_out(tmp_path):
    folder = sealed(tmp_path)
    history = folder.parents[1] / "full/seed-1/history.csv"
    known = hashlib.sha256(history.read_bytes()).hexdigest()
    spec = {"strategy": {"name": "ema-4-16", "follows": "full"}}
    factory.seal(folder, spec=spec, followed=known)
    assert read(tmp_path).left_out == []
    factory.seal(folder, spec=spec, followed="0" * 64)
    assert "another record of full than is there now" in why(read(tmp_path))


def fail(leader):
    """As a run does that is tried again and fails: what it leaves of its earlier record is the rest of the files."""
    failed.leave(leader, {}, FrugalError("broken"))
    remove(leader / "metrics.json")


@pytest.mark.parametrize(
    ("lose", "said"),
    [
        (fail, "which failed"),
        (lambda leader: remove(leader / "metrics.json"), "whose record is missing"),
        (lambda leader: factory.seal(leader, plan="another"), "whose record is left out"),
        (lambda leader: cut(leader / "metrics.json"), "whose record is left out"),
    ],
)
def test_who_follows_a_run_without_a_record_of_this_plan_is_left_out_with_all_behind_it(tmp_path, lose, said):
    given = GIVEN | {"strategies": ["fixed-4", "full", "random-4-16", "ema-4-16"], "seeds": [0]}
    factory.write_runs(tmp_path, given)
    top, followed = tmp_path / "runs/compression/digits/cnn-tiny", {"fixed-4": "random-4-16", "random-4-16": "ema-4-16"}
    for strategy in given["strategies"]:
        history = top / followed.get(strategy, strategy) / "seed-0/history.csv"
        about = {"name": strategy, "follows": followed.get(strategy)}
        factory.seal(
            top / strategy / "seed-0",
            spec={"strategy": about},
            followed=hashlib.sha256(history.read_bytes()).hexdigest() if strategy in followed else None,
        )
    plans = {"digits/cnn-tiny": dict.fromkeys(given["strategies"], "planned")}
    study = study_of(given | {"plans": plans, "follows": followed})
    assert read_records(study, tmp_path).left_out == []
    lose(top / "ema-4-16/seed-0")
    assert (top / "ema-4-16/seed-0/history.csv").is_file(), "which is what the record that follows it is compared with"
    found = read_records(study, tmp_path)
    assert [record.cell.strategy for record in found.records] == ["full"]
    why = {run.cell.strategy: run.why for run in found.left_out}
    assert list(why) == ["fixed-4", "random-4-16", "ema-4-16"], "in the order of the study"
    assert f"it follows ema-4-16, {said}; make that one again with" in why["random-4-16"]
    assert "it follows random-4-16, whose record is left out" in why["fixed-4"]
    audit = tabulate(study, found).audit
    assert ("record left out", "random-4-16/seed-0") in set(zip(audit["finding"], audit["runs"], strict=True))


def test_a_report_prints_the_settings_of_the_records(tmp_path):
    folder = sealed(tmp_path)
    factory.seal(folder, spec={"recipe": GIVEN["recipe"] | {"epochs": 16}})
    study = study_of(GIVEN | {"recipe": {"epochs": 500}})
    tabulate(study, read_records(study, tmp_path)).write(tmp_path / "tables")
    shown = " ".join(reported.setting(tmp_path / "tables")["value"])
    assert "epochs 3, batch size 128" in shown
    assert "digits/cnn-tiny ema-4-16: epochs 16" in shown, "what one strategy has of its own stands beside it"
    assert "500" not in shown


def test_the_records_that_the_benchmark_invents_are_tabulated_without_a_doubt(tmp_path):
    study = invented.study(strategies=3, seeds=2)
    invented.write(study, tmp_path, steps=20)
    tables = tabulate(study, read_records(study, tmp_path))
    assert len(tables.runs) == 6
    assert tables.audit.empty
