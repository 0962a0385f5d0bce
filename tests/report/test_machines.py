"""Records of several machines: seconds are told of the baseline's machine alone, everything else of all runs."""

import json
from itertools import combinations
from pathlib import Path

import pandas as pd
import pytest

from frugal.report import load, reported, sentences
from frugal.report.load import comparisons
from frugal.report.machines import MEMORY, in_words
from frugal.training import device
from report import factory

COUNTS = ("samples_backpropagated", "flops_executed")


UNTOLD, TOLD = "AMD EPYC", "AMD EPYC (family 23 model 49)"  # as older and as newer records name a processor
HERE, THERE = 25276514304, 25276510208  # bytes of memory of two hosts


def moved(root: Path, strategy: str, seeds=range(3), hardware={"cpu": "a faster one"}) -> None:  # noqa: B006  only read
    """Runs on another machine, where all takes a third of the time."""
    for seed in seeds:
        folder = root / "digits/cnn-tiny" / strategy / f"seed-{seed}"
        manifest, metrics = (json.loads((folder / f"{name}.json").read_text()) for name in ("manifest", "metrics"))
        manifest["hardware"] |= hardware
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


@pytest.fixture
def two_hosts(make_tables):
    """A function (cpu) -> the tables of a study all on that processor, infobatch on a host of its own; and their folder."""

    def make(cpu: str):
        def spoil(root):
            for file in root.glob("digits/cnn-tiny/*/*/manifest.json"):
                manifest = json.loads(file.read_text())
                manifest["hardware"] |= {"cpu": cpu, MEMORY: HERE}
                file.write_text(json.dumps(manifest))
            moved(root, "infobatch", hardware={MEMORY: THERE})

        return make_tables(spoil, of=factory.with_budgets)[1:]

    return make


def test_hosts_whose_processors_have_one_name_are_told_apart_by_their_memory(two_hosts):
    tables, folder = two_hosts(UNTOLD)
    row = strategy(tables)
    assert row[["cpu_seconds_mean", "cpu_seconds_saved_mean", "train_seconds_exchange_rate"]].isna().all()
    assert row[[f"{cost}_exchange_rate" for cost in COUNTS]].notna().all()
    assert strategy(tables, "random-subset")[["cpu_seconds_saved_mean"]].notna().all()
    found = tables.audit.set_index("finding").loc["different hardware"]
    assert found["runs"] == "infobatch/seed-0, infobatch/seed-1, infobatch/seed-2"
    assert f"another host by its memory, {THERE} bytes, where 15 other runs have {HERE} bytes;" in found["detail"]
    facts = reported.setting(folder).set_index("fact")["value"]
    assert facts["machine"].endswith("on cpu (2 hosts, some told apart by their memory alone)")


def test_of_a_processor_with_family_and_model_the_memory_is_not_asked(two_hosts):
    tables, folder = two_hosts(TOLD)
    assert strategy(tables)["cpu_seconds_saved_mean"] > 0.6, "a third of the time is what was written, on one machine"
    assert "different hardware" not in set(tables.audit["finding"])
    assert "hosts" not in reported.setting(folder).set_index("fact").loc["machine", "value"]


def test_a_kept_table_of_before_memory_was_written_is_read_and_knows_one_host(two_hosts):
    _, folder = two_hosts(UNTOLD)
    assert load.runs(folder).groupby("strategy", observed=True)[load.ELSEWHERE].all()["infobatch"]
    kept = pd.read_csv(folder / "runs.csv")
    kept.drop(columns=MEMORY).to_csv(folder / "runs.csv", index=False)
    assert not load.runs(folder)[load.ELSEWHERE].any()
    assert not comparisons(folder)[0].everything[load.ELSEWHERE].any()
    assert "hosts" not in reported.setting(folder).set_index("fact").loc["machine", "value"]


def test_an_unknown_memory_is_that_of_other_unknowns_alone():
    untold = {"cpu": UNTOLD, "gpu": None, "cores": 2, "threads": 1, "device": "cpu"}
    unknown = [in_words(one) for one in (untold, untold | {MEMORY: None}, untold | {MEMORY: float("nan")})]
    assert len(set(unknown)) == 1
    known = [in_words(untold | {MEMORY: memory}) for memory in (HERE, THERE)]
    assert all(one != other for one, other in combinations([unknown[0], *known], 2))
    assert known[0] == in_words(untold | {MEMORY: float(HERE)}), "as a column with gaps is read"


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        ("model name\t: AMD EPYC\ncpu family\t: 23\nmodel\t\t: 49\n", False),
        ("model name\t: AMD EPYC\n", True),
        ("model name\t: AMD EPYC\ncpu family\t: 23\n", True),
        ("CPU implementer\t: 0x41\n", True),
    ],
)
def test_memory_is_asked_where_linux_tells_no_family_or_no_model(monkeypatch, told, asked):
    monkeypatch.setattr(device.Path, "read_text", lambda path: told)
    hardware = {"cpu": device._cpu_name(), "gpu": None, "cores": 2, "threads": 1, "device": "cpu"}
    assert (in_words(hardware | {MEMORY: HERE}) != in_words(hardware | {MEMORY: THERE})) == asked
