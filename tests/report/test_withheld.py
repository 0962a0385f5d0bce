"""Nobody is said to save, or to be as accurate, by runs that the audit doubts or that failed for a part of the seeds."""

import json

import pandas as pd
import pytest

from frugal import failed
from frugal.errors import FrugalError
from frugal.report.answers import answer
from frugal.report.caveats import at_chance, few_steps
from frugal.report.findings import few, named, strategies_of
from frugal.report.known_outcomes import UNDECIDED, Case, outcomes
from frugal.report.load import comparisons
from frugal.report.sentences import headline
from report import factory

SEEDS = range(3)


def sure(root):
    """InfoBatch, whose share of the samples is 0.7, as accurate as the whole training and above its curve in every seed."""
    for seed in SEEDS:
        file = root / f"digits/cnn-tiny/infobatch/seed-{seed}/metrics.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"test_accuracy": 0.993 + 0.0002 * seed}))


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


@pytest.mark.parametrize(
    ("spoil", "rate", "accuracy", "why"),
    [
        (sure, "saves", True, ""),
        (without_evidence, "undecided", True, "not called a saving, since the audit found saving without evidence (3)"),
        (failing, "undecided", False, "not called a saving, since the audit found run failed (1)"),
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
    claim = {"study": "infobatch", "strategy": "infobatch", "currency": "samples_backpropagated", "at_least": 1.0}
    (folder.parent / "here/tables").mkdir(parents=True)
    folder.rename(folder.parent / "here/tables/infobatch")
    (found,) = outcomes([Case(case="a claim", kind="claimed", source="a test", **claim)], folder.parent / "here")
    assert (found.outcome == UNDECIDED) == (rate != "saves")


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


def test_a_finding_names_each_of_its_runs_once_and_a_page_the_first_few():
    runs = ", ".join(f"short-as-freeze/seed-{seed}" for seed in range(8))
    assert strategies_of(runs) == {"short-as-freeze"}, "and not freeze"
    assert few(runs).endswith("short-as-freeze/seed-5 and 2 more")
    assert (strategies_of(float("nan")), few(""), named("random-50")) == (set(), "", ["random-50"])  # about no run
