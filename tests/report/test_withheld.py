"""Nobody is said to save, or to be as accurate, by runs that the audit doubts or that failed for a part of the seeds."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from frugal import failed
from frugal.errors import FrugalError
from frugal.report.answers import answer
from frugal.report.caveats import at_chance, few_steps
from frugal.report.findings import few, named, strategies_of
from frugal.report.known_outcomes import UNDECIDED, Case, outcomes
from frugal.report.load import comparisons
from frugal.report.records import read_records
from frugal.report.sentences import headline
from frugal.report.tables import runs_table
from frugal.study import study_of
from report import factory

SEEDS = range(3)


def sure(root):
    """InfoBatch, whose share of the samples is 0.7, as accurate as the whole training and above its curve in every seed."""
    for seed in SEEDS:
        accuracy = 0.993 + 0.0002 * seed
        changed(root, seed, test_accuracy=accuracy)
        ended(root, seed, lambda history, accuracy=accuracy: history.assign(test_accuracy=accuracy))


def metrics(root, seed):
    return json.loads((root / f"digits/cnn-tiny/infobatch/seed-{seed}/metrics.json").read_text())


def changed(root, seed, name="metrics.json", **keys):
    file = root / f"digits/cnn-tiny/infobatch/seed-{seed}" / name
    file.write_text(json.dumps(json.loads(file.read_text()) | keys))


def ended(root, seed, by):
    file = root / f"digits/cnn-tiny/infobatch/seed-{seed}/history.csv"
    by(pd.read_csv(file)).to_csv(file, index=False)


def without_evidence(root):
    sure(root)
    for seed in SEEDS:
        file = root / f"digits/cnn-tiny/infobatch/seed-{seed}/history.csv"
        pd.read_csv(file).drop(columns="pruned_share").to_csv(file, index=False)


def failing(root):
    sure(root)
    folder = root / "digits/cnn-tiny/infobatch/seed-2"
    (folder / "metrics.json").unlink()
    failed.leave(folder, {}, FrugalError("the loss is not a number"))


def opening_held_out_data(root):
    sure(root)
    changed(root, 0, "manifest.json", opened={"train": 1, "validation": 28, "test": 3})


def choosing_the_epoch(root):
    sure(root)
    ended(root, 1, lambda history: history.assign(test_accuracy=[0.99, metrics(root, 1)["test_accuracy"], 0.99]))


def knowing_the_test_set(root):
    sure(root)
    for seed in SEEDS:
        changed(root, seed, val_accuracy=0.93, best_val_accuracy=0.93)
        ended(root, seed, lambda history: history.assign(val_accuracy=0.93))


def stopping(root):
    """One run after its second epoch of three."""
    sure(root)
    history = pd.read_csv(root / "digits/cnn-tiny/infobatch/seed-1/history.csv").iloc[:2]
    ended(root, 1, lambda _: history)
    rows = root / "digits/cnn-tiny/infobatch/seed-1/iterations.csv"
    pd.read_csv(rows).iloc[:40].to_csv(rows, index=False)
    last = {name: float(history[name].iloc[-1]) for name in ("train_seconds", "flops_executed", "val_accuracy")}
    counts = {"samples_backpropagated": int(history["samples"].sum()), "bytes_read": int(history["bytes_read"].sum())}
    changed(root, 1, epochs=2, steps=40, best_val_accuracy=float(history["val_accuracy"].max()), **last, **counts)


def stopping_as_its_recipe_says(root):
    stopping(root)
    for file in root.glob("digits/cnn-tiny/*/seed-*/manifest.json"):
        manifest = json.loads(file.read_text())
        manifest["spec"]["recipe"]["early_stopping"] = 1
        file.write_text(json.dumps(manifest))


def stepping_twice(root):
    sure(root)
    changed(root, 0, uncounted_steps=27)


@pytest.mark.parametrize(
    ("spoil", "rate", "accuracy", "why"),
    [
        (sure, "saves", True, ""),
        (without_evidence, "undecided", True, "not called a saving, since the audit found saving without evidence (3)"),
        (failing, "undecided", False, "not called a saving, since the audit found run failed (1)"),
        (opening_held_out_data, "undecided", False, "found held-out data opened while training (1)"),
        (choosing_the_epoch, "undecided", False, "found test accuracy of another epoch (1)"),
        (knowing_the_test_set, "undecided", False, "found accuracy on held-out data that was learnt (3)"),
        (stopping, "undecided", False, "found stopped before its last epoch (1)"),
        (stopping_as_its_recipe_says, "saves", True, ""),
        (stepping_twice, "undecided", True, "found optimizer steps that nobody counted (1)"),
    ],
)
def test_a_saving_is_called_one_where_the_audit_finds_nothing_against_it(make_tables, spoil, rate, accuracy, why):
    study, tables, folder = make_tables(spoil, of=factory.with_budgets)
    row = tables.summary.set_index("strategy").loc["infobatch"]
    assert row["samples_backpropagated_exchange_low"] > 1, "its interval says so in any case"
    assert row["samples_backpropagated_exchange_verdict"] == rate
    assert (row["verdict"] in ("better", "equal within the margin")) == accuracy
    (compared,) = comparisons(folder, study)
    for told in (headline(compared), answer([compared])):
        assert why in told
        assert ("**It saves**" in told or ">saves<" in told) == (rate == "saves")
    (folder.parent / "here/tables").mkdir(parents=True)
    folder.rename(folder.parent / "here/tables/infobatch")
    of_rate = {"currency": "samples_backpropagated", "at_least": 1.0}
    of_saving = {"saved": "samples_backpropagated", "at_least": 0.0}
    of_accuracy = {"against": "full", "expected": "no worse"}
    common = {"case": "a claim", "kind": "claimed", "source": "a test", "study": "infobatch", "strategy": "infobatch"}
    cases = [Case(**common, **claim) for claim in (of_rate, of_saving, of_accuracy)]
    claims = [one.outcome != UNDECIDED for one in outcomes(cases, folder.parent / "here")]
    assert claims == [rate == "saves", rate == "saves", accuracy], "the claims follow the table"


@pytest.mark.parametrize(("steps", "told"), [(24, "the plain net took 24 steps, which is hardly a training"), (60, "")])
def test_a_page_says_where_the_plain_net_has_hardly_been_trained(make_tables, steps, told):
    study, _, folder = make_tables(of=factory.with_budgets)
    runs = pd.read_csv(folder / "runs.csv")
    runs.assign(steps=steps).to_csv(folder / "runs.csv", index=False)
    (compared,) = comparisons(folder, study)
    assert few_steps(compared).startswith(told)
    assert bool(few_steps(compared)) == bool(told)
    assert told in answer([compared])
    assert told in headline(compared)


@pytest.mark.parametrize(
    ("area", "told"), [(0.51, "the plain net has hardly learned anything: ROC AUC 0.51"), (0.8, "")]
)
def test_a_page_says_where_the_plain_net_tells_classes_no_better_than_chance(make_tables, area, told):
    study, _, folder = make_tables(of=factory.with_budgets)
    summary = pd.read_csv(folder / "summary.csv")
    summary.assign(test_roc_auc_mean=area).to_csv(folder / "summary.csv", index=False)
    (compared,) = comparisons(folder, study)
    assert at_chance(compared)[: len(told) or None] == told
    assert bool(told) == ("where 0.5 is chance" in answer([compared]))


@pytest.mark.parametrize(
    ("classes", "reached", "told"),
    [
        (2, (0.5, 0.5, 0.5), "has hardly learned anything: balanced accuracy 50.00\N{NO-BREAK SPACE}%, where 50.00"),
        (2, (0.6, 0.48, 0.72), "can't tell whether the plain net has learned anything: balanced accuracy 60.00"),
        (2, (0.6, 0.56, 0.64), ""),
        (10, (0.5, 0.49, 0.51), ""),
        (None, (0.5, 0.5, 0.5), ""),
    ],
)
def test_a_page_says_where_the_plain_net_may_say_one_class_alone(selection, classes, reached, told):
    columns = [f"test_balanced_accuracy_{part}" for part in ("mean", "low", "high")]
    summary = selection.summary.assign(**dict(zip(columns, reached, strict=True)))
    runs = selection.tables["runs"].drop(columns="classes")
    runs = runs if classes is None else runs.assign(classes=classes)
    compared = replace(selection, tables=selection.tables | {"runs": runs, "summary": summary})
    for said in (answer([compared]), headline(compared)):
        assert told in said
        assert bool(told) == ("learned anything" in said)


def test_the_number_of_classes_is_the_entrys_or_that_of_the_prepared_files(tmp_path):
    given = factory.selection(seeds=[0], datasets=["digits", "faces"], strategies=["full"], controls=[])
    factory.write_runs(tmp_path, given)
    file = tmp_path / "runs/infobatch/digits/cnn-tiny/full/seed-0/manifest.json"
    manifest = json.loads(file.read_text())
    manifest["spec"]["dataset"] = {"classes": 10}
    file.write_text(json.dumps(manifest))
    for name, classes in (("digits", 11), ("faces", 2)):
        (tmp_path / "data" / name).mkdir(parents=True)
        about = {"checksum": f"data-of-{name}", "classes": classes}
        (tmp_path / "data" / name / "manifest.json").write_text(json.dumps(about))
    study, no_doubts = study_of(given), pd.DataFrame(columns=["finding", "dataset", "model", "runs"])
    for caches, found in ((tmp_path / "data", [10, 2]), (None, [10, None])):
        there = read_records(study, tmp_path, caches)
        classes = runs_table(study, there.records, no_doubts, there.classes)["classes"]
        assert [None if pd.isna(value) else value for value in classes] == found


def test_a_finding_names_each_of_its_runs_once_and_a_page_the_first_few():
    runs = ", ".join(f"short-as-freeze/seed-{seed}" for seed in range(8))
    assert strategies_of(runs) == {"short-as-freeze"}, "and not freeze"
    assert few(runs).endswith("short-as-freeze/seed-5 and 2 more")
    assert (strategies_of(float("nan")), few(""), named("random-50")) == (set(), "", ["random-50"])  # about no run
