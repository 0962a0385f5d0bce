import json
import re
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from frugal.report.caveats import seconds_in_doubt, uneven_seconds
from frugal.report.costs import COSTS, spent_by_epoch
from frugal.report.load import comparisons
from frugal.report.sentences import exchanged, headline
from frugal.study_config import Cost
from report import factory

RUNS = {
    *("study", "dataset", "model", "strategy", "seed", "epochs", "test_accuracy", "test_f1", "val_accuracy"),
    *("best_val_accuracy", "train_seconds", "inference_seconds", "peak_memory_bytes", "model_bytes", "parameters"),
    *("live_parameters", "flops_forward_per_sample", "flops_executed", "samples_forwarded", "samples_backpropagated"),
    *("bytes_read", "compression_ratio", "energy_joules", "energy_source", "device"),
}


def seed_folder(root: Path, strategy: str, seed: int) -> Path:
    return root / "digits/cnn-tiny" / strategy / f"seed-{seed}"


def edit(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_runs_has_a_row_per_run_and_the_columns_of_the_design(study, results):
    runs = pd.read_csv(results / "tables/compression/runs.csv")
    assert set(runs.columns) >= RUNS
    assert len(runs) == len(list(study.runs()))


def test_summary_agrees_with_a_plain_computation(study, results):
    runs = pd.read_csv(results / "tables/compression/runs.csv").set_index(["strategy", "seed"])
    summary = pd.read_csv(results / "tables/compression/summary.csv").set_index("strategy")
    ours, base = runs.loc["ema-4-16"], runs.loc["full"]
    row = summary.loc["ema-4-16"]
    assert row["seeds"] == 3
    assert row["test_accuracy_mean"] == pytest.approx(ours["test_accuracy"].mean())
    assert row["test_accuracy_difference_mean"] == pytest.approx((ours["test_accuracy"] - base["test_accuracy"]).mean())
    assert row["bytes_read_saved_mean"] == pytest.approx((1 - ours["bytes_read"] / base["bytes_read"]).mean())
    assert row["verdict"] == "worse"
    assert row["test_accuracy_difference_low"] < row["test_accuracy_difference_mean"] < -0.005
    assert summary.loc["fixed-4", "verdict"] == "worse"
    assert summary[["test_accuracy_low", "test_accuracy_high"]].stack().between(0, 1).all()
    assert summary.loc["fixed-16", "verdict"] == "equal within the margin"
    assert summary.loc["full", "verdict"] == "baseline"
    assert np.isnan(summary.loc["full", "test_accuracy_difference_mean"])
    assert summary["energy_joules_mean"].isna().all(), "what was not measured stays null"


def test_scores_that_are_younger_than_a_record_are_empty_in_its_table_and_compared_where_there_are_any(make_tables):
    old = make_tables()[1]
    for name in ("test_balanced_accuracy", "test_roc_auc"):
        assert old.runs[name].isna().all()
        assert old.summary[f"{name}_mean"].isna().all()
    new = make_tables(of=factory.selection)[1]
    runs, summary = new.runs, new.summary.set_index("strategy")
    assert (runs["test_accuracy"] - runs["test_balanced_accuracy"]).to_list() == pytest.approx([0.01] * len(runs))
    row = summary.loc["infobatch"]
    assert row["test_balanced_accuracy_difference_mean"] == pytest.approx(row["test_accuracy_difference_mean"])
    assert row["test_roc_auc_mean"] == pytest.approx(0.99)


def test_a_strategy_is_held_against_the_baseline_trained_for_less(make_tables):
    _, tables, folder = make_tables(of=factory.with_budgets)
    assert tables.audit.empty
    budgets = tables.budgets.set_index("run")
    assert budgets["budget"].to_dict() == factory.BUDGETS
    assert budgets.loc["full@0.5", "samples_backpropagated_mean"] == 27_000 * 3
    summary = tables.summary.set_index("strategy")
    assert list(summary.index) == list(factory.SELECTION), "a budget is no strategy"
    row, cost = summary.loc["infobatch"], "samples_backpropagated_"
    assert 0.5 < row["matched_budget"] < 1
    assert row[f"{cost}exchange_rate"] == pytest.approx(row["matched_budget"] / 0.7, rel=0.05)
    assert row[f"{cost}exchange_low"] < row[f"{cost}exchange_rate"] < row[f"{cost}exchange_high"]
    assert row[f"{cost}honest_saving"] == pytest.approx(1 - 1 / row[f"{cost}exchange_rate"])
    assert summary.loc["random-subset", f"{cost}exchange_verdict"] == "wastes"
    assert (
        row[["flops_executed_exchange_rate", "train_seconds_exchange_rate", "cpu_seconds_exchange_rate"]].notna().all()
    )
    assert np.isnan(row["energy_joules_exchange_rate"])
    assert row["charged"] == "training 100 %"
    (compared,) = comparisons(folder)
    assert "exchange rate 1." in headline(compared)
    assert "**wastes**: " in exchanged(compared)


def test_without_budgets_there_is_no_exchange_rate_and_the_reason_is_told(selection):
    row = selection.summary.set_index("strategy").loc["infobatch"]
    assert row[[name for name in row.index if "exchange_rate" in name]].isna().all()
    assert "set `budgets` in the study" in row["exchange_reason"]
    assert "No exchange rates: the baseline was trained at no budget" in exchanged(selection)
    assert "no exchange rate: the baseline was trained at no budget" in headline(selection)


def test_budgets_and_controls_of_equal_cost_that_are_not_what_they_say_are_flagged(make_tables):
    def spoil(root):
        for seed in range(3):
            file = seed_folder(root, "full@0.5", seed) / "manifest.json"
            edit(file, lambda about: about["spec"]["recipe"].update(epochs=3))
            file = seed_folder(root, "full-short", seed) / "manifest.json"
            edit(
                file,
                lambda about: about["spec"]["strategy"].update(use="equal_cost", parameters={"cost": "bytes_read"}),
            )
            edit(file.with_name("metrics.json"), lambda metrics: metrics.update(bytes_read=1))

    _, tables, _ = make_tables(spoil, of=factory.with_budgets, follows={"full-short": "infobatch"})
    found = tables.audit.set_index("finding")["detail"]
    assert "epochs 3 (baseline 1.5)" in found["another recipe than the baseline"]
    assert "1 bytes_read, infobatch, which it repeats, has" in found["control of another cost"].iloc[0]


@pytest.mark.parametrize(("steps", "flagged"), [(0.9, False), (-0.9, False), (1.5, True), (-1.5, True)])
@pytest.mark.parametrize(
    "control",
    [
        {"use": "equal_cost", "parameters": {"cost": "bytes_read"}},
        {"use": "combined", "parameters": {"parts": [{"use": "equal_cost", "cost": "bytes_read"}, {"use": "sparse"}]}},
    ],
)
def test_a_control_of_equal_cost_may_be_cut_a_step_later_or_earlier(make_tables, control, steps, flagged):
    def spoil(root):
        given = factory.with_budgets()
        for seed in range(3):
            for name in ("infobatch", "full-short"):
                factory.write_run(root.parents[1], given, "digits", "cnn-tiny", name, seed, steps_per_epoch=5)
            file = seed_folder(root, "full-short", seed) / "manifest.json"
            edit(file, lambda about: about["spec"]["strategy"].update(control))
            read = json.loads((seed_folder(root, "infobatch", seed) / "metrics.json").read_text())["bytes_read"]
            own = round(read * (1 + steps / 15))
            edit(file.with_name("metrics.json"), lambda metrics, own=own: metrics.update(bytes_read=own))

    _, tables, _ = make_tables(spoil, of=factory.with_budgets, follows={"full-short": "infobatch"})
    assert ("control of another cost" in set(tables.audit["finding"])) == flagged


def test_a_record_older_than_a_key_of_the_recipe_has_its_default(make_tables):
    def age(root):
        for seed in range(3):
            for name, value in (("full", None), ("infobatch", True), ("random-subset", False)):
                about = seed_folder(root, name, seed) / "manifest.json"
                edit(about, lambda about, value=value: about["spec"]["recipe"].pop("nesterov", None))
                if value is not None:
                    edit(about, lambda about, value=value: about["spec"]["recipe"].update(nesterov=value))

    _, tables, _ = make_tables(age, of=factory.selection)
    found = tables.audit[tables.audit["finding"] == "another recipe than the baseline"]
    assert found["detail"].str.contains("nesterov False (baseline True)", regex=False).all()
    assert len(found) == 1
    assert "random-subset" in found["runs"].iloc[0]
    assert "infobatch/" not in found["runs"].iloc[0]


def test_what_is_charged_is_in_every_cost_and_in_no_control_that_repeats_samples(make_tables):
    """infobatch as if it used the scores of a run that cost 1000 samples, bytes and FLOPs."""
    charge = {
        f"charged_{name}": 1000 for name in ("flops", "samples_forwarded", "samples_backpropagated", "bytes_read")
    }

    def spoil(root, costs=1):
        for seed in range(3):
            file = seed_folder(root, "infobatch", seed) / "metrics.json"
            edit(file, lambda metrics: metrics.update(charge, flops_decoding=0, flops_executed=2000.0))
            edit(file, lambda metrics: metrics.update(flops_forward=500.0, flops_backward=500.0, flops_scoring=0.0))
            for name in ("samples_backpropagated", "bytes_read"):
                edit(file, lambda metrics, name=name: metrics.update({name: metrics[name] + 1000 * costs}))
            history = pd.read_csv(file.with_name("history.csv"))
            charged = dict.fromkeys(("charged_samples_backpropagated", "charged_bytes_read"), 1000)
            history.assign(flops_executed=2000.0, **charged).to_csv(file.with_name("history.csv"), index=False)

    follows = {"random-subset": "infobatch", "infobatch": "full"}  # who is charged with a run repeats nothing of it
    _, tables, _ = make_tables(spoil, of=factory.with_budgets, follows=follows)
    assert tables.audit.empty
    assert tables.summary.set_index("strategy").loc["infobatch", "charged"] == "training 50 %, a scoring run 50 %"
    spent = spent_by_epoch(tables.history[tables.history["strategy"] == "infobatch"].query("seed == 1"), "bytes_read")
    runs = tables.runs.set_index(["strategy", "seed"])
    assert spent.iloc[-1] == runs.loc[("infobatch", 1), "bytes_read"]
    _, tables, _ = make_tables(lambda root: spoil(root, costs=0), of=factory.with_budgets, follows=follows)
    assert set(tables.audit["finding"]) >= {"evidence contradicts the ledger"}, "charged, but not in its costs"


def test_a_scoring_run_is_a_row_of_runs_and_no_strategy(make_tables):
    strategies = [name for name in factory.SELECTION if name != "random-subset"]
    _, tables, _ = make_tables(
        of=factory.selection, strategies=strategies, controls=["full-short"], scoring=["random-subset"]
    )
    assert set(tables.runs["strategy"]) == set(factory.SELECTION)
    assert list(tables.summary["strategy"]) == strategies
    assert tables.audit.empty


def test_control_is_the_one_that_read_as_many_bytes(results):
    summary = pd.read_csv(results / "tables/compression/summary.csv").set_index("strategy")
    assert summary.loc["ema-4-16", "control"] == "random-4-16"
    assert summary.loc["ema-4-16", "control_difference_low"] > 0
    assert pd.isna(summary.loc["fixed-16", "control"]), "nothing else reads that much"


def test_control_is_chosen_by_the_cost_that_the_study_is_about(selection, make_tables):
    row = selection.summary.set_index("strategy").loc["infobatch"]
    assert row["control"] == "random-subset"
    assert row["control_difference_low"] > 0
    _, tables, _ = make_tables(cost="flops_executed")
    control = tables.summary.set_index("strategy")["control"]
    assert control["ema-4-16"] == "fixed-16", "all execute as many FLOPs; the first of the controls is named"


def test_cost_to_the_target_is_what_was_spent_until_then(make_tables):
    _, tables, _ = make_tables(of=factory.selection, target_accuracy=0.98)
    row = tables.runs.set_index(["strategy", "seed"]).loc[("infobatch", 1)]
    assert row["epochs_to_target"] == 2
    assert row["cost_to_target"] == 2 * row["samples_backpropagated"] / row["epochs"]


def test_every_cost_that_a_study_may_name_is_tabulated_and_has_words(selection):
    assert set(get_args(Cost)) == set(COSTS)
    assert {f"{cost}_saved_mean" for cost in COSTS} <= set(selection.summary)


def test_two_seeds_without_an_interval_say_why_and_no_difference_is_beyond_all_samples(make_tables):
    def spoil(root):
        for strategy, accuracies in {"full": (0.99, 0.99), "fixed-4": (0.8, 0.8), "fixed-16": (0.2, 0.95)}.items():
            for seed, accuracy in enumerate(accuracies):
                file = seed_folder(root, strategy, seed) / "metrics.json"
                edit(file, lambda m, a=accuracy: m.update(test_accuracy=a, test_accuracy_full_fidelity=a))

    _, tables, _ = make_tables(spoil, seeds=[0, 1])
    summary = tables.summary.set_index("strategy")
    assert "no spread: every seed gives the same value" in summary.loc["fixed-4", "verdict_reason"]
    ends = summary.loc["fixed-16", ["test_accuracy_difference_low", "test_accuracy_difference_high"]]
    assert list(ends) == [-1, 1]


def test_one_seed_gives_numbers_but_no_verdict(make_tables):
    _, tables, _ = make_tables(seeds=[4])
    others = tables.summary[tables.summary["strategy"] != "full"]
    assert set(others["verdict"]) == {"undecided"}
    assert others["verdict_reason"].str.contains("one seed").all()
    assert others["test_accuracy_mean"].notna().all()
    assert others["test_accuracy_low"].isna().all()


def test_target_missed_by_one_seed_gives_no_mean(make_tables):
    def spoil(root):
        history = seed_folder(root, "full", 1) / "history.csv"
        history.write_text(re.sub(r",0\.9,0\.1,0\.\d+", ",0.9,0.1,0.5", history.read_text()))
        told = {"val_accuracy": 0.5, "best_val_accuracy": 0.5}
        edit(history.with_name("metrics.json"), lambda metrics: metrics.update(told))

    _, tables, _ = make_tables(spoil, target_accuracy=0.97)
    row = tables.summary.set_index("strategy").loc["full"]
    assert row["seeds_at_target"] == 2
    assert np.isnan(row["epochs_to_target_mean"])


def test_iterations_keep_every_loss_to_the_last_digit(study, results):
    table = pd.read_csv(results / "tables/compression/iterations.csv", dtype={"loss": str})
    mine = table[(table["strategy"] == "ema-4-16") & (table["seed"] == 2)]
    record = pd.read_csv(
        results / "runs/compression/digits/cnn-tiny/ema-4-16/seed-2/iterations.csv", dtype={"loss": str}
    )
    assert mine[["step", "epoch", "loss"]].reset_index(drop=True).equals(record)


def test_two_names_for_one_training_are_flagged(make_tables):
    def spoil(root):
        shutil.copy(
            seed_folder(root, "full", 1) / "iterations.csv", seed_folder(root, "ema-4-16", 1) / "iterations.csv"
        )

    _, tables, _ = make_tables(spoil)
    (finding,) = tables.audit.itertuples()
    assert finding.finding == "identical loss curves"
    assert finding.runs == "full/seed-1, ema-4-16/seed-1"
    doubted = tables.runs[tables.runs["doubted"]]
    assert set(zip(doubted["strategy"], doubted["seed"], strict=True)) == {("full", 1), ("ema-4-16", 1)}


def test_a_control_of_equal_cost_may_train_exactly_as_a_shorter_baseline_did(make_tables):
    def spoil(root):
        for seed in (1, 2):
            shutil.copy(
                seed_folder(root, "full", 1) / "iterations.csv", seed_folder(root, "ema-4-16", seed) / "iterations.csv"
            )
            edit(
                seed_folder(root, "ema-4-16", seed) / "manifest.json",
                lambda manifest: manifest["spec"].setdefault("strategy", {}).update(use="equal_cost"),
            )
        edit(
            seed_folder(root, "full", 1) / "manifest.json",
            lambda manifest: manifest["spec"].setdefault("strategy", {}).update(use="full"),
        )
        shutil.copy(
            seed_folder(root, "fixed-16", 0) / "iterations.csv", seed_folder(root, "ema-4-16", 2) / "iterations.csv"
        )

    _, tables, _ = make_tables(spoil)
    found = tables.audit[tables.audit["finding"] == "identical loss curves"]["runs"].tolist()
    assert found == ["fixed-16/seed-0, ema-4-16/seed-2"], "another strategy, or another seed, is no shorter baseline"


def test_a_seed_without_effect_is_flagged(make_tables):
    def spoil(root):
        shutil.copy(seed_folder(root, "full", 0) / "iterations.csv", seed_folder(root, "full", 2) / "iterations.csv")

    _, tables, _ = make_tables(spoil)
    assert "the seed had no effect" in tables.audit["detail"].item()


def test_joules_by_different_meters_are_flagged(make_tables):
    def spoil(root):
        for strategy in ("full", "fixed-4"):
            for seed in range(3):
                file = seed_folder(root, strategy, seed) / "metrics.json"
                by = "CPU by RAPL" if strategy == "full" else "CPU by RAPL, DRAM by RAPL"
                file.write_text(
                    json.dumps(json.loads(file.read_text()) | {"energy_joules": 1.0, "energy_source": f"zeus: {by}"})
                )

    _, tables, _ = make_tables(spoil)
    found = tables.audit[tables.audit["finding"] == "different meters"]
    assert "DRAM by RAPL" in found["detail"].item()


@pytest.mark.parametrize(
    ("finding", "change"),
    [
        ("different hardware", lambda manifest: manifest["hardware"].update(gpu="H200")),
        ("different code", lambda manifest: manifest["code"].update({"scripts/frugal/training/loop.py": "c" * 64})),
        (
            "different precision",
            lambda manifest: manifest["notes"].append("precision auto: bfloat16, a step took 1/1.60"),
        ),
        ("different packages", lambda manifest: manifest["versions"].update(torch="1.0")),
        ("different data", lambda manifest: manifest.update(data_checksum="other")),
    ],
)
def test_unlike_conditions_within_a_comparison_are_flagged(make_tables, finding, change):
    _, tables, _ = make_tables(lambda root: edit(seed_folder(root, "fixed-4", 2) / "manifest.json", change))
    assert tables.audit["finding"].tolist() == [finding]
    assert tables.audit["runs"].tolist() == ["fixed-4/seed-2"]


def test_honest_records_raise_no_doubt(results):
    assert pd.read_csv(results / "tables/compression/audit.csv").empty


def column(name: str, change):
    """A spoiler of history.csv: `change` is given the column's values."""

    def spoil(path: Path) -> None:
        table = pd.read_csv(path)
        table[name] = change(table[name])
        table.to_csv(path, index=False)

    return spoil


def test_samples_and_bytes_that_do_not_add_up_are_flagged(make_tables):
    spoil = column("samples", lambda values: values - 1)
    _, tables, _ = make_tables(lambda root: spoil(seed_folder(root, "fixed-4", 2) / "history.csv"))
    assert tables.audit["finding"].tolist() == ["evidence contradicts the ledger"]
    assert tables.audit["runs"].tolist() == ["fixed-4/seed-2"]


def test_a_saving_that_no_evidence_bears_is_flagged(make_tables):
    def spoil(root):
        path = seed_folder(root, "fixed-4", 2) / "history.csv"
        table = pd.read_csv(path)
        table.drop(columns=[name for name in table if name.startswith(("share_", "flip", "threshold"))]).to_csv(
            path, index=False
        )

    _, tables, _ = make_tables(spoil)
    (finding,) = tables.audit.itertuples()
    assert finding.finding == "saving without evidence"
    assert finding.runs == "fixed-4/seed-2"
    assert finding.detail.startswith("bytes_read")


def timed(folder: Path, seconds: float, **figures) -> None:
    """Lets a run have taken so many seconds, by its metrics and its history. figures: others of its metrics"""
    edit(folder / "metrics.json", lambda metrics: metrics.update(train_seconds=seconds, **figures))
    column("train_seconds", lambda values: values * seconds / values.iloc[-1])(folder / "history.csv")


def test_seconds_saved_while_all_the_work_was_done_are_flagged(make_tables):
    def spoil(root):
        for seed in range(3):
            timed(seed_folder(root, "fixed-16", seed), 10 + seed / 1000, cpu_seconds=9.8)
            edit(seed_folder(root, "fixed-16", seed) / "metrics.json", lambda m: m.update(bytes_read=54_000 * 784 * 3))
            column("bytes_read", lambda values: 54_000 * 784)(seed_folder(root, "fixed-16", seed) / "history.csv")

    _, tables, _ = make_tables(spoil)
    (finding,) = tables.audit.itertuples()
    assert finding.finding == "saving without evidence"
    assert "train_seconds: every seed saves at least 6" in finding.detail


def test_seconds_in_which_the_baseline_waited_for_a_core_are_nobodys_saving(make_tables):
    def spoil(root):
        for seed in range(3):
            times = {"full": (30.0, 5.0), "fixed-16": (25.0, 0.1)}
            for strategy, (seconds, queued) in times.items():
                own = {"train_queued_seconds": queued, "cpu_seconds": 24.5}
                timed(seed_folder(root, strategy, seed), seconds + seed / 1000, **own)
            edit(seed_folder(root, "fixed-16", seed) / "metrics.json", lambda m: m.update(bytes_read=54_000 * 784 * 3))
            column("bytes_read", lambda values: 54_000 * 784)(seed_folder(root, "fixed-16", seed) / "history.csv")

    _, tables, _ = make_tables(spoil)
    assert tables.audit.empty


@pytest.mark.parametrize(("load", "queued"), [(7.3, 0.1), (1.2, 12.0)])
def test_seconds_of_a_crowded_machine_are_not_to_be_trusted(make_tables, load, queued):
    def spoil(root):
        for file in root.glob("*/*/*/seed-*/metrics.json"):
            edit(file, lambda metrics: metrics.update(machine_load=load, train_queued_seconds=queued))

    study, _, folder = make_tables(spoil)
    said = seconds_in_doubt(comparisons(folder, study)[0])
    assert "**Seconds are not to be trusted**: 15 of 15 runs" in said
    assert f"load {load} on 2 cores" in said


def test_seconds_of_a_quiet_machine_need_no_word(make_tables):
    study, _, folder = make_tables()
    assert seconds_in_doubt(comparisons(folder, study)[0]) == ""


@pytest.mark.parametrize(("slower", "told"), [(1.0, ""), (1.3, "1 of 2 controls that compute what `full` does")])
def test_a_control_that_computes_the_same_and_takes_longer_casts_doubt_on_cpu_seconds(make_tables, slower, told):
    def spoil(root):
        for file in root.glob("*/*/*/seed-*/metrics.json"):
            work = json.loads(file.read_text())["flops_executed"]
            factor = slower if "full-short" in str(file) else 1.0
            edit(file, lambda metrics, seconds=work * 1e-9 * factor: metrics.update(cpu_seconds=seconds))

    study, _, folder = make_tables(spoil, of=factory.selection)
    said = uneven_seconds(comparisons(folder, study)[0])
    assert told in said
    assert bool(said) == bool(told)
    assert not told or "by 30\N{NO-BREAK SPACE}% in CPU seconds for each FLOP" in said


def test_more_seeds_of_the_baseline_alone_are_no_missing_seeds_of_others(make_tables):
    _, few, _ = make_tables(of=factory.with_budgets)
    study, tables, _ = make_tables(of=factory.with_budgets, baseline_seeds=[0, 1, 2, 3, 4])
    assert few.audit.equals(tables.audit)
    rows = tables.summary.set_index("strategy")
    assert rows.loc[["full", "infobatch"], "seeds"].tolist() == [5, 3]
    assert rows.loc["infobatch", "seeds_compared"] == 3, "differences are paired by seed"
    assert tables.budgets["seeds"].tolist() == [5, 5, 5], "the curve is that of all"
    assert len(tables.runs) == len(list(study.runs())) == 3 * 5 + 3 * 3


def test_a_rate_is_read_as_if_the_strategy_had_the_seeds_of_the_baseline(make_tables):
    """Its rate is the same, whether the baseline's further seeds are easy or hard."""

    def harder(by):
        def spoil(root):
            for file in root.glob("*/*/full*/seed-[34]/metrics.json"):
                edit(file, lambda metrics: metrics.update(test_accuracy=metrics["test_accuracy"] - by))

        return spoil

    rates = []
    for by in (0.0, 0.004):
        _, tables, _ = make_tables(harder(by), of=factory.with_budgets, baseline_seeds=[0, 1, 2, 3, 4])
        rates.append(tables.summary.set_index("strategy").loc["infobatch", "flops_executed_exchange_rate"])
    assert rates[1] == pytest.approx(rates[0], rel=0.01)


def test_a_rate_in_seconds_is_as_uncertain_as_these_and_one_in_flops_is_not(make_tables):
    def scattered(by):
        def spoil(root):
            for file in root.glob("*/*/*/seed-*/metrics.json"):
                factor = 1 + by * (int(file.parent.name[-1]) - 1)
                edit(file, lambda metrics, factor=factor: metrics.update(cpu_seconds=metrics["cpu_seconds"] * factor))

        return spoil

    rows = []
    for by in (0.001, 0.2):
        _, tables, _ = make_tables(scattered(by), of=factory.with_budgets)
        rows.append(tables.summary.set_index("strategy").loc["infobatch"])
    lows = [row["cpu_seconds_exchange_low"] / row["cpu_seconds_exchange_rate"] for row in rows]
    assert lows[1] < 0.95 * lows[0]
    assert rows[0]["flops_executed_exchange_low"] == rows[1]["flops_executed_exchange_low"]


def test_a_run_left_out_is_named_and_the_rest_compared(make_tables):
    def spoil(root):
        (seed_folder(root, "full", 0) / "metrics.json").write_text("{")
        (seed_folder(root, "fixed-4", 2) / "manifest.json").unlink()
        shutil.rmtree(root / "digits/cnn-tiny/random-4-16")

    study, tables, folder = make_tables(spoil)
    found = tables.audit.groupby("finding")["runs"].agg(list)
    assert found["record left out"] == ["full/seed-0", "fixed-4/seed-2"]
    assert found["run not made"] == [f"random-4-16/seed-{seed}" for seed in range(3)]
    assert found["missing seeds"][:2] == ["full/seed-0", "fixed-4/seed-2"]
    assert len(tables.runs) == 15 - 5
    rows = tables.summary.set_index("strategy")
    assert rows.loc["fixed-16", ["seeds", "seeds_compared"]].tolist() == [3, 2]
    assert rows.loc["fixed-16", "test_accuracy_difference_low"] < 0.02
    assert rows.loc["fixed-4", "verdict_reason"].startswith("fewer than two seeds that the baseline has too")
    assert rows.loc["fixed-4", "verdict"] == "undecided"
    (compared,) = comparisons(folder, study)
    assert compared.summary["strategy"].tolist() == ["full", "fixed-16", "fixed-4", "ema-4-16"]


def test_a_run_is_doubted_where_a_finding_names_it_and_nowhere_else(make_tables):
    """Seven runs by other code, none of which may hide behind "and one more"; a missing seed says nothing against the others."""

    def spoil(root):
        for place, strategy in enumerate(("full", "infobatch", "random-subset")):
            for seed in range(3):
                if place < 2 or seed == 0:
                    edit(
                        seed_folder(root, strategy, seed) / "manifest.json",
                        lambda one: one["versions"].update(torch="0"),
                    )
        shutil.rmtree(seed_folder(root, "full-short", 2))

    _, tables, _ = make_tables(spoil, of=factory.with_budgets)
    doubted = tables.runs[tables.runs["doubted"].astype(bool)].groupby("strategy")["seed"].agg(list).to_dict()
    (told,) = tables.audit.loc[tables.audit["finding"] == "different packages", "runs"]
    assert sorted(told.split(", ")) == sorted(
        f"{name}/seed-{seed}" for name, seeds in doubted.items() for seed in seeds
    )
    assert "full-short" not in doubted
    assert set(tables.audit["finding"]) >= {"missing seeds", "run not made"}


def test_a_data_set_of_which_only_parts_of_the_training_ended_well_costs_no_other_its_tables(make_tables):
    def spoil(root):
        for strategy in ("full", "infobatch", "random-subset", "full-short"):
            shutil.rmtree(root / "mnist/cnn-tiny" / strategy)

    _, tables, _ = make_tables(spoil, of=factory.with_budgets, datasets=["digits", "mnist"])
    assert set(tables.runs["dataset"]) == {"digits", "mnist"}
    assert set(tables.summary["dataset"]) == set(tables.budgets["dataset"]) == {"digits"}


def test_seeds_that_agree_to_the_last_digit_give_no_rate_an_interval(make_tables):
    def spoil(root):
        for seed in range(3):
            edit(seed_folder(root, "infobatch", seed) / "metrics.json", lambda one: one.update(test_accuracy=0.9801))

    _, tables, _ = make_tables(spoil, of=factory.with_budgets)
    row = tables.summary.set_index("strategy").loc["infobatch"]
    assert row[["flops_executed_exchange_low", "flops_executed_exchange_high"]].isna().all()
    assert row["flops_executed_exchange_verdict"] == "undecided"
