"""Two sets of results: what differs beyond the noise of the seeds is said, nothing else, and a regression fails."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forks import REPORTS
from frugal.errors import FrugalError
from frugal.report.compare import CELL, MACHINE, differences, only_in, read_runs
from frugal.report.compare_settings import apart
from frugal.webpage import document


@pytest.fixture(scope="module")
def runs(results):
    return read_runs(results)


def verdicts(found, figure="test_accuracy"):
    return found[found["figure"] == figure].set_index("strategy")["verdict"].to_dict()


def changed(runs, strategy, **shift):
    """A copy in which a strategy's figures are shifted, by an amount per run."""
    copy = runs.copy()
    for column, amount in shift.items():
        copy[column] = copy[column].astype(float)
        copy.loc[copy["strategy"] == strategy, column] += amount
    return copy


def test_a_set_is_the_same_as_itself(runs):
    found = differences(runs, runs)
    assert set(found["verdict"]) == {"same"}
    assert "energy_joules" not in set(found["figure"]), "what was not measured is not compared"


def test_a_loss_in_every_seed_is_found_though_it_is_smaller_than_the_spread_of_the_seeds(runs):
    spread = runs.loc[runs["strategy"] == "full", "test_accuracy"].std()
    lost = np.array([-1.0, -1.01, -0.99]) * spread / 2
    found = verdicts(differences(runs, changed(runs, "full", test_accuracy=lost)))
    assert found == {name: "worse" if name == "full" else "same" for name in found}


def test_other_seeds_are_compared_without_pairs(runs):
    after = changed(runs, "fixed-4", test_accuracy=-0.2, train_seconds=0.01)
    after["seed"] += 10
    found = differences(runs, after)
    assert set(found["how"]) == {"Welch"}
    assert verdicts(found)["fixed-4"] == "worse"
    assert verdicts(found)["full"] == "same"
    assert verdicts(found, "train_seconds")["fixed-4"] == "within noise"


def test_a_counted_cost_that_rises_by_one_is_a_regression_and_one_that_falls_is_none(runs):
    after = changed(changed(runs, "full", flops_executed=1e6), "fixed-4", flops_executed=-1e6)
    found = verdicts(differences(runs, after), "flops_executed")
    assert (found["full"], found["fixed-4"], found["fixed-16"]) == ("worse", "better", "same")


def test_joules_by_other_meters_are_not_compared(runs):
    before = runs.assign(energy_joules=runs["train_seconds"], energy_source="zeus: CPU by RAPL")
    after = before.assign(energy_joules=before["energy_joules"] * 9)
    assert verdicts(differences(before, after), "energy_joules")["full"] == "worse"
    after["energy_source"] = "zeus: CPU by RAPL, DRAM by RAPL"
    assert verdicts(differences(before, after), "energy_joules")["full"] == "other meters"


def test_seconds_of_another_machine_are_not_compared(runs):
    after = changed(runs, "full", train_seconds=100, cpu_seconds=100, flops_executed=1e9).assign(cpu="Another CPU")
    found = differences(runs, after)
    assert verdicts(found, "train_seconds")["full"] == "another machine"
    assert verdicts(found, "cpu_seconds")["full"] == "another machine"
    assert verdicts(found, "flops_executed")["full"] == "worse"


def test_seconds_of_another_host_of_the_same_name_are_not_compared(runs):
    before = runs.assign(cpu="AMD EPYC", memory_bytes=25276514304)
    after = changed(before, "full", cpu_seconds=-10).assign(memory_bytes=25276510208)
    assert verdicts(differences(before, after), "cpu_seconds")["full"] == "another machine"
    lacking = [one.drop(columns="memory_bytes") for one in (before, after)]
    assert verdicts(differences(*lacking), "cpu_seconds")["full"] == "better", "tables of before it was written"
    assert verdicts(differences(lacking[0], after), "cpu_seconds")["full"] == "another machine", "for all that is known"
    machines = [one for one in apart(("a", "b"), (before, after))[0] if one.kind == "machine"]
    assert [(one.before[-26:], one.after[-26:]) for one in machines] == [
        (", memory 25276514304 bytes", ", memory 25276510208 bytes")
    ]


def test_of_two_machines_in_a_set_seconds_are_compared_where_both_trained_a_seed_on_the_same(runs):
    def placed(elsewhere, slower):
        """As many seeds of each strategy on another machine, where all takes longer."""
        copy = runs.copy()
        copy["train_seconds"] = copy["train_seconds"].astype(float)
        there = copy["seed"].isin(elsewhere)
        copy.loc[there, "cpu"] = "another one"
        copy.loc[there, "train_seconds"] *= slower
        return copy

    found = differences(placed([2], 5.0), placed([2], 5.0))
    assert set(verdicts(found, "train_seconds").values()) == {"same"}
    found = differences(placed([2], 1.0), placed([0], 5.0))  # one seed alone is of the same machine in both
    assert set(verdicts(found, "train_seconds").values()) == {"another machine"}
    found = differences(runs, placed([2], 5.0))
    assert set(verdicts(found, "train_seconds").values()) == {"same"}, "seeds 0 and 1 are of the same machine"


def test_one_seed_shows_nothing_unless_it_is_the_same(runs):
    one = runs[runs["seed"] == 0]
    found = differences(one, changed(one, "full", test_accuracy=-0.5))
    assert found["low"].dtype == float, "unknown, as the scripts ask"
    found = verdicts(found)
    assert (found["full"], found["fixed-4"]) == ("too few seeds", "same")


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000))
def test_noise_alone_hardly_ever_fails_a_comparison_of_many_cells(runs, seed):
    """Holm bounds the chance of any false alarm per figure at one in twenty; of forty cells uncorrected, two would be raised."""
    draw = np.random.default_rng(seed)
    runs = runs[[*CELL, "seed", *MACHINE]]
    many = pd.concat([runs.assign(dataset=f"data-{i}") for i in range(8)], ignore_index=True)
    sets = [many.assign(test_accuracy=draw.normal(0.9, 0.01, len(many))) for _ in range(2)]
    assert (differences(*sets)["verdict"] == "worse").sum() <= 1


def test_sets_that_share_nothing_and_places_without_runs_are_refused(runs, tmp_path):
    with pytest.raises(FrugalError, match="share no study"):
        differences(runs, runs.assign(study="another"))
    with pytest.raises(FrugalError, match="give the folder of a scale"):
        read_runs(tmp_path)
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FrugalError, match="lacks the column study"):
        read_runs(tmp_path / "x.csv")
    assert only_in(runs, runs[runs["strategy"] != "full"]) == ["compression/digits/cnn-tiny/full"]


def test_a_ratio_has_an_interval_that_agrees_with_that_of_the_difference(runs):
    before = runs.assign(train_seconds=np.linspace(9, 11, len(runs)))
    after = before.assign(train_seconds=before["train_seconds"] * np.linspace(1.01, 1.3, len(runs)))
    found = differences(before, after)
    found = found[found["figure"] == "train_seconds"]
    assert ((found["ratio_low"] < found["ratio"]) & (found["ratio"] < found["ratio_high"])).all()
    assert ((found["ratio_low"] > 1) == (found["low"] > 0)).all()


def test_a_change_smaller_than_is_relevant_is_no_regression(runs):
    lost = np.array([-0.001, -0.0011, -0.0009])
    after = changed(runs, "full", test_accuracy=lost, flops_executed=1e6)
    assert verdicts(differences(runs, after, relevant=0.002))["full"] == "smaller than relevant"
    assert verdicts(differences(runs, after, relevant=0.0005))["full"] == "worse"
    costs = verdicts(differences(runs, after, relevant_cost=0.5), "flops_executed")
    assert costs["full"] == "smaller than relevant"


def test_the_page_shows_what_changed_then_what_both_were_made_with_and_the_exit_status_is_one_where_something_got_worse(
    runs, results, tmp_path
):
    other = tmp_path / "<b>" / "demo"
    shutil.copytree(results, other)
    moved = other / "runs/compression/digits/cnn-tiny/full/seed-0/manifest.json"
    made = json.loads(moved.read_text())
    made["spec"]["recipe"]["epochs"], made["versions"]["torch"] = 7, "2.16.0"
    moved.write_text(json.dumps(made))
    table = other / "tables/compression/runs.csv"
    changed(runs, "full", test_accuracy=np.array([-0.1, -0.11, -0.12])).to_csv(table, index=False)
    for before, after, status in ((results, results, 0), (results, other, 1), (table, results, 0)):
        out = tmp_path / f"{status}.html"
        done = REPORTS.run(["scripts/compare.py", before, after, "--out", out, "--relevant", "0.002"])
        assert done.returncode == status, done.stderr
        assert f"page, with the settings that differ: {out}" in done.stdout
    assert "test_accuracy" in done.stdout
    assert "better" in done.stdout
    page = (tmp_path / "1.html").read_text()
    assert "<td>setting recipe.epochs</td><td>3</td><td>7</td><td>compression/digits/cnn-tiny/full</td>" in page
    assert "<td>package torch</td><td>2.15.0</td><td>2.16.0</td>" in page
    assert "1 worse, 0 better" in page
    made, rest = page.index("What they were made with"), page.index("<details>")
    assert page.index("\N{MINUS SIGN}11.00 points") < rest < made < page.index("<td>setting recipe.epochs</td>")
    assert "&lt;b&gt;" in page
    assert "<b>" not in page


def test_the_page_replaces_an_earlier_one_and_no_other_file(results, tmp_path):
    overview = tmp_path / "index.html"
    overview.write_text(document("Results at the scale demo", "mine"))
    before = overview.read_text()
    done = REPORTS.run(["scripts/compare.py", results, results, "--out", overview])
    assert done.returncode == 2, done.stdout
    assert f"{overview} is there and no page of this kind" in done.stderr
    assert overview.read_text() == before


def test_without_records_beside_the_tables_what_they_do_not_say_is_unknown(runs, results, tmp_path):
    (tmp_path / "tables/compression").mkdir(parents=True)
    alone = tmp_path / "tables/compression/runs.csv"
    runs.assign(recipe=runs["recipe"].str.replace('"epochs": 3', '"epochs": 5'), git_commit="abc").to_csv(alone)
    found, unknown = apart((results, tmp_path), (runs, read_runs(alone)))
    assert {("commit", "", "0123456789", "abc"), ("setting", "recipe.epochs", "3", "5")} <= {one[:4] for one in found}
    (text,) = unknown
    assert "have no record under" in text
