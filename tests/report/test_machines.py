"""Records of several machines: seconds are told of the baseline's machine alone, everything else of all runs."""

import json
from pathlib import Path

import pandas as pd
import pytest

from frugal.report import load, sentences
from frugal.report.load import comparisons
from report import factory

COUNTS = ("samples_backpropagated", "flops_executed")


def moved(root: Path, strategy: str, seeds=range(3)) -> None:
    """Runs on another processor, where all takes a third of the time."""
    for seed in seeds:
        folder = root / "digits/cnn-tiny" / strategy / f"seed-{seed}"
        manifest, metrics = (json.loads((folder / f"{name}.json").read_text()) for name in ("manifest", "metrics"))
        manifest["hardware"]["cpu"] = "a faster one"
        for cost in ("train_seconds", "cpu_seconds", "inference_seconds"):
            metrics[cost] /= 3
        history = pd.read_csv(folder / "history.csv")
        timed = [column for column in ("train_seconds", "cpu_seconds") if column in history]
        history[timed] /= 3
        history.to_csv(folder / "history.csv", index=False)
        (folder / "manifest.json").write_text(json.dumps(manifest))
        (folder / "metrics.json").write_text(json.dumps(metrics))


@pytest.fixture
def made(make_tables):
    """A function (moved runs...) -> the study, its tables and their folder."""

    def make(*elsewhere, **changes):
        def spoil(root):
            for strategy, seeds in elsewhere:
                moved(root, strategy, seeds)

        return make_tables(spoil, of=factory.with_budgets, **changes)

    return make


@pytest.fixture
def tables_of(made):
    return lambda *elsewhere, **changes: made(*elsewhere, **changes)[1]


def strategy(tables, name="infobatch") -> pd.Series:
    return tables.summary.set_index("strategy").loc[name]


def test_a_strategy_trained_elsewhere_has_no_seconds_to_compare_and_all_its_counts(tables_of):
    row = strategy(tables_of(("infobatch", range(3))))
    assert row[["cpu_seconds_mean", "cpu_seconds_saved_mean", "train_seconds_exchange_rate"]].isna().all()
    assert row[["inference_seconds_mean", "seconds_to_target_mean"]].isna().all()
    assert row[[f"{cost}_exchange_rate" for cost in COUNTS]].notna().all()
    assert row[[f"{cost}_saved_mean" for cost in COUNTS]].notna().all()
    assert row["test_accuracy_mean"] == pytest.approx(0.99, abs=0.01)


def test_seeds_on_the_baselines_machine_are_enough_to_tell_its_seconds(tables_of):
    there, some = strategy(tables_of()), strategy(tables_of(("infobatch", [2])))
    for column in ("cpu_seconds_mean", "cpu_seconds_saved_mean", "cpu_seconds_exchange_rate"):
        assert some[column] == pytest.approx(there[column], rel=0.02)
    assert some["seeds"] == some["seeds_compared"] == 3
    assert some["test_accuracy_low"] == there["test_accuracy_low"]


def test_the_machine_is_that_of_most_of_the_baselines_whole_runs(tables_of):
    everything = [(name, range(3)) for name in [*factory.SELECTION, *factory.BUDGETS]]
    there, moved_all = strategy(tables_of()), strategy(tables_of(*dict(everything).items()))
    assert moved_all["cpu_seconds_mean"] == pytest.approx(there["cpu_seconds_mean"] / 3)
    assert moved_all["cpu_seconds_exchange_rate"] == pytest.approx(there["cpu_seconds_exchange_rate"])
    one = strategy(tables_of(("full", [0])))
    assert one["cpu_seconds_saved_mean"] == pytest.approx(there["cpu_seconds_saved_mean"], rel=0.02)
    curve = tables_of(("full@0.25", range(3)), ("full@0.5", range(3)))
    assert pd.isna(strategy(curve)["cpu_seconds_exchange_rate"])
    assert strategy(curve)["flops_executed_exchange_rate"] > 0
    assert strategy(curve)["cpu_seconds_saved_mean"] == pytest.approx(there["cpu_seconds_saved_mean"])
    assert pd.isna(curve.budgets.set_index("run").loc["full@0.25", "cpu_seconds_mean"])


@pytest.mark.parametrize("seed", [0, 1])
def test_of_two_machines_with_as_many_runs_of_the_baseline_the_others_decide(tables_of, seed):
    tables = tables_of(("full", [seed]), seeds=[0, 1])
    assert strategy(tables)["cpu_seconds_mean"] == pytest.approx(strategy(tables_of(seeds=[0, 1]))["cpu_seconds_mean"])


def test_sentences_compare_no_seconds_of_two_machines(made):
    others = [(name, range(3)) for name in factory.SELECTION if name != "full"]
    study, tables, folder = made(*others, cost="train_seconds")
    (compared,) = comparisons(folder, study)
    assert "**nothing can be told**" in sentences.headline(compared)
    assert "they are of another machine" in sentences.realised_in_time(compared)
    assert "in time `full`" in sentences.reaching_the_target(compared)
    assert tables.summary.set_index("strategy").loc["infobatch", ["cost_to_target_mean"]].isna().all()
    study, tables, folder = made(*others[1:], cost="train_seconds")
    assert "No strategy has a control" in sentences.against_controls(*comparisons(folder, study))
    assert "saving without evidence" not in set(tables.audit["finding"])


def test_a_notebook_averages_no_seconds_of_another_machine(made):
    _, tables, folder = made(("infobatch", [1, 2]))
    told = load.means(load.runs(folder), ["train_seconds"]).iloc[:, 0]
    assert f"{strategy(tables)['train_seconds_mean']:.2f}" in told.xs("infobatch", level="strategy").item()


def test_what_was_trained_elsewhere_is_named(tables_of):
    found = tables_of(("infobatch", [2])).audit.set_index("finding").loc["different hardware"]
    assert found["runs"] == "infobatch/seed-2"
    assert "a faster one" in found["detail"]
    assert "told of the baseline's machine alone" in found["detail"]
