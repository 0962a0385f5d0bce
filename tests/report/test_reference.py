"""Reference convergence points: made from enough seeds, read back whole, and a sound installation agrees with them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from frugal.errors import FrugalError
from frugal.report import reference as r
from frugal.report.simultaneous import compare
from frugal.study import Study
from report import factory

ROOT = Path(__file__).parents[2]
BUDGETS = {"full@0.25": 0.25, "full": 1.0}
MEANS, SD = {"full@0.25": 0.95, "full": 0.99}, 0.003


def study(**changes):
    return Study.model_validate(factory.study(**{"budgets": {"full": BUDGETS}} | changes))


def runs(seeds=12, generator=None, **columns):
    """runs.csv of a baseline at two budgets; the accuracies are invented."""
    generator = generator or np.random.default_rng(0)
    rows = [
        {
            **{"dataset": "digits", "model": "cnn-tiny", "strategy": name, "seed": seed},
            "test_accuracy": MEANS[name] + generator.normal(0, SD),
            "recipe": json.dumps(factory.study()["recipe"] | {"epochs": 12 * share}),
            **{"data_checksum": "ab", "device": "cpu", "cpu": "some", "git_commit": "c0ffee", "git_dirty": False},
            **{"ended": f"2026-01-0{1 + seed % 9}T00:00:00", "train_seconds": 10 * share},
        }
        for name, share in BUDGETS.items()
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows).assign(**columns)


@pytest.fixture
def made():
    return r.reference_from(study(), runs(), "digits", "cnn-tiny")


def test_a_reference_has_mean_spread_and_origin_per_budget(made):
    table, given = made.table, runs()
    full = given[given["strategy"] == "full"]["test_accuracy"]
    assert made.name == "digits-cnn-tiny-compression-demo"
    assert table["budget"].tolist() == [0.25, 1.0]
    assert table["mean"].iloc[1] == pytest.approx(full.mean())
    assert table["sd"].iloc[1] == pytest.approx(full.std(ddof=1))
    assert table["freedom"].tolist() == [11, 11]
    assert (table["low"] < table["mean"]).all()
    assert (table["high"] > table["mean"]).all()
    assert (made.origin("commit"), made.origin("date"), made.seeds) == ("c0ffee", "2026-01-09", set(range(12)))
    assert made.recipe["epochs"] == 12
    assert made.seconds == 12.5


def test_it_is_read_back_as_it_was_written(made, tmp_path):
    r.write(made, tmp_path / f"{made.name}.csv")
    again = r.read(tmp_path / f"{made.name}.csv")
    assert again.name == made.name
    assert again.recipe == made.recipe
    pd.testing.assert_frame_equal(again.table, made.table, check_dtype=False, rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (runs(seeds=4), "has 4 seeds, a reference needs at least 5"),
        (runs().query("strategy != 'full'"), "budget 1 has 0 seeds"),
        (runs(data_checksum=["a", *["b"] * 23]), "more than one version of the data"),
        (runs(device=["cuda", *["cpu"] * 23]), "more than one device"),
        (runs(test_accuracy=0.9), "equally accurate"),
    ],
)
def test_what_makes_no_reference_is_refused_in_one_line(given, said):
    with pytest.raises(FrugalError, match=said) as error:
        r.reference_from(study(), given, "digits", "cnn-tiny")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a,b\n1,2\n",
        "budget,seeds\n1,20\n",
        ",".join(r.COLUMNS) + "\n",
        ",".join(r.COLUMNS) + "\n" + "x," * 19 + "y\n",
    ],
)
def test_a_file_that_is_no_reference_is_named(tmp_path, text):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(FrugalError, match=r"x\.csv is not a reference: .*; make it anew") as error:
        r.read_all(tmp_path)
    assert "\n" not in str(error.value)


def test_a_refused_reference_costs_nobody_the_one_that_is_there(tmp_path):
    tables, out = tmp_path / "tables", tmp_path / "out.csv"
    tables.mkdir()
    (tables / "study.json").write_text(study().model_dump_json())
    runs(seeds=4).to_csv(tables / "runs.csv", index=False)
    out.write_text("mine")
    command = [
        sys.executable,
        "scripts/reference.py",
        "--tables",
        tables,
        "--dataset",
        "digits",
        "--model",
        "cnn-tiny",
    ]
    done = subprocess.run([*command, "--out", out], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("frugal: reference digits-cnn-tiny-compression-demo: ")
    assert done.stderr.count("\n") == 1
    assert out.read_text() == "mine"


def here(generator, shift=0.0):
    rows = [(share, MEANS[name] + shift + generator.normal(0, SD)) for name, share in BUDGETS.items() for _ in range(2)]
    return pd.DataFrame(rows, columns=["budget", "test_accuracy"])


def test_99_of_100_sound_installations_agree_and_unsound_ones_do_not():
    generator, studies, sound = np.random.default_rng(1), 100, 0
    for _ in range(studies):
        made = r.reference_from(study(), runs(generator=generator), "digits", "cnn-tiny")
        sound += r.agreement(made, here(generator))["agrees"].all()
    assert sound / studies >= 0.96  # three standard errors below 0.99
    broken = r.agreement(made, here(generator, shift=-5 * SD))
    assert not broken["agrees"].any()
    assert (broken["z"] < 0).all()


def test_a_check_of_some_budgets_is_a_check_and_one_of_unknown_budgets_is_refused(made):
    found = r.agreement(made, here(np.random.default_rng(0)).query("budget < 1"))
    assert found["budget"].tolist() == [0.25]
    with pytest.raises(FrugalError, match=r"has no budget 0\.5"):
        r.agreement(made, pd.DataFrame({"budget": [0.5], "test_accuracy": [0.9]}))
    with pytest.raises(FrugalError, match="no run"):
        r.agreement(made, pd.DataFrame({"budget": [], "test_accuracy": []}))


def test_runs_of_another_recipe_or_other_data_are_not_held_against_it(made):
    r.check_same_ground(made, made.recipe, "ab")
    with pytest.raises(FrugalError, match=r"another recipe \(batch_size\)"):
        r.check_same_ground(made, made.recipe | {"batch_size": 1}, "ab")
    r.check_same_ground(
        made, made.recipe | {"nesterov": True, "average": None}, "ab"
    )  # younger keys, as they stand by default
    with pytest.raises(FrugalError, match=r"another recipe \(nesterov\)"):
        r.check_same_ground(made, made.recipe | {"nesterov": False}, "ab")
    with pytest.raises(FrugalError, match="other data"):
        r.check_same_ground(made, made.recipe, "cd")


def test_few_seeds_take_the_spread_of_a_reference_of_the_same_ground(made, tmp_path):
    r.write(made, tmp_path / f"{made.name}.csv")
    recipe = factory.study()["recipe"] | {"epochs": 12}
    few = study(recipe=recipe, name="another", seeds=[0, 1])
    found = r.spread_for(few, "digits", "cnn-tiny", "ab", folder=tmp_path)
    assert found.spread == pytest.approx(made.table["sd"].iloc[1])
    assert found.freedom == 11
    assert found.sentence.startswith("2 seeds are too few")
    assert "12 runs of full in config/reference/digits-cnn-tiny-compression-demo.csv" in found.sentence
    for other in (
        study(recipe=recipe, seeds=[0, 1, 2, 3, 4]),
        study(recipe=recipe | {"epochs": 3}, seeds=[0]),
        study(recipe=recipe, seeds=[0], recipes={"full": {"batch_size": 1}}),
    ):
        assert r.spread_for(other, "digits", "cnn-tiny", "ab", folder=tmp_path) is None
    assert r.spread_for(few, "digits", "mlp", "ab", folder=tmp_path) is None
    assert r.spread_for(few, "digits", "cnn-tiny", "cd", folder=tmp_path) is None, "other data"
    assert r.spread_for(few, "digits", "cnn-tiny", "ab", own=((10 * SD) ** 2, 12), folder=tmp_path) is None
    assert r.spread_for(few, "digits", "cnn-tiny", "ab", own=(SD**2, 12), folder=tmp_path) is not None


def test_intervals_with_a_references_spread_hold_together_even_with_one_seed():
    generator, held, studies = np.random.default_rng(2), 0, 400
    for _ in range(studies):
        known = SD**2 * generator.chisquare(11) / 11
        values = 0.9 + generator.normal(0, SD, 5)
        given = pd.DataFrame({"strategy": list("abcde"), "seed": 0, "value": values})
        table, _ = compare(given, "a", known=(known, 11))
        held += (table["difference_low"].iloc[1:] <= 0).all() and (table["difference_high"].iloc[1:] >= 0).all()
    assert 0.91 <= held / studies <= 0.99


@pytest.mark.parametrize("path", sorted((ROOT / "config/reference").glob("*.csv")), ids=lambda path: path.stem)
def test_committed_references_are_named_after_what_they_are_of(path):
    one = r.read(path)
    parts = [one.origin(column) for column in ("dataset", "model", "study", "scale")]
    assert path.stem == "-".join(parts)
    assert "dirty" not in one.origin("commit")
