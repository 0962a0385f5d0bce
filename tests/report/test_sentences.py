import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal.errors import FrugalError
from frugal.report import caveats, load, reported, words
from frugal.report import sentences as findings
from frugal.report.answers import answer
from frugal.report.exchange_rate import LEVELLED, SAVES, SHORTER
from frugal.report.load import comparisons
from frugal.report.pool import pool_told
from frugal.report.statistics import against_control, equal_cost
from report import factory


@pytest.fixture
def compared(study, results):
    return comparisons(results / "tables/compression", study)[0]


def test_headline_names_only_what_keeps_the_accuracy(compared):
    said = findings.headline(compared)
    assert "nothing is saved**: each one that saves something loses more than the margin" in said
    assert "fixed-4" not in said, "it saves most bytes and loses twenty points"


def test_headline_admits_that_nothing_is_free(make_tables):
    study, _, folder = make_tables(strategies=["full", "fixed-4"])
    said = findings.headline(comparisons(folder, study)[0])
    assert "fixed-4" not in said
    assert "no proposal was run" in said, "a control is not praised"


def test_headline_admits_that_one_seed_says_nothing(make_tables):
    study, _, folder = make_tables(seeds=[0])
    assert "one seed was run" in findings.headline(comparisons(folder, study)[0])


@pytest.mark.parametrize(
    ("share", "said"), [(0.673, "67"), (0.9996, "99.96"), (0.0004, "0.04"), (-0.2, "-20"), (0, "0")]
)
def test_percent_never_rounds_up_to_all_or_down_to_nothing(share, said):
    assert findings.percent(share) == f"{said}\N{NO-BREAK SPACE}%"


def test_headline_speaks_of_the_cost_that_the_study_is_about(selection):
    said = findings.headline(selection)
    assert "`infobatch` back-propagates **30\N{NO-BREAK SPACE}%** fewer samples" in said
    assert "bytes" not in said


def test_headline_says_what_the_control_of_equal_cost_says(selection):
    said = findings.headline(selection)
    assert "it beats its control `random-subset`, which back-propagates as many samples (+1." in said
    assert "**the curve does not decide** whether it saves" in said, "without a curve nothing is praised"


def test_a_strategy_without_a_control_is_not_praised(make_tables):
    study, _, folder = make_tables(of=factory.selection, strategies=["full", "infobatch"], controls=[])
    said = findings.headline(comparisons(folder, study)[0])
    assert (
        "**no control** back-propagates as many samples: only the curve of the plain net tells the idea from doing less"
        in said
    )
    assert "It saves" not in said


def test_where_the_plain_net_is_better_trained_for_less_the_answers_say_so(selection):
    falling, elsewhere = replace(selection), replace(selection)
    vars(falling)["summary"] = selection.summary.assign(exchange_reason=f"{LEVELLED}; {SHORTER}")
    vars(elsewhere)["summary"] = selection.summary.assign(exchange_reason=LEVELLED)
    for said in (findings.headline, lambda one: answer([one])):
        assert SHORTER in said(falling)
        assert f"{SHORTER}: " not in said(falling), "these tables have no budgets"
        assert SHORTER not in said(selection) + said(elsewhere)


def test_the_best_of_the_plain_nets_trainings_is_told_where_it_is_a_shorter_one(make_tables):
    def spoil(root):
        for file in root.glob("digits/cnn-tiny/full@0.5/seed-*/metrics.json"):
            file.write_text(json.dumps(json.loads(file.read_text()) | {"test_accuracy": 0.996}))

    study, _, folder = make_tables(spoil, of=factory.with_budgets)
    assert f"{SHORTER}: 99.60\N{NO-BREAK SPACE}% with 0.5 of its epochs" in findings.headline(
        comparisons(folder, study)[0]
    )


@pytest.mark.parametrize(
    ("half", "told"), [(0.85, "the plain net gains 14.1 points from half of its epochs to all"), (0.985, "")]
)
def test_a_plain_net_that_is_far_from_its_end_is_told(make_tables, half, told):
    def spoil(root):
        for file in root.glob("digits/cnn-tiny/full@0.5/seed-*/metrics.json"):
            file.write_text(json.dumps(json.loads(file.read_text()) | {"test_accuracy": half}))

    study, _, folder = make_tables(spoil, of=factory.with_budgets)
    (compared,) = comparisons(folder, study)
    assert caveats.on_a_steep_curve(compared)[: len(told)] == told
    assert bool(told) == ("points from half of its epochs" in findings.headline(compared) + answer([compared]))


@pytest.mark.parametrize(
    ("interval", "told"),
    [
        ((-0.03, -0.046, -0.014), "rare classes lose more: \N{MINUS SIGN}3.00 points"),
        ((-0.002, -0.003, -0.001), ""),
        ((-0.03, -0.07, 0.01), ""),
        ((-0.03, -0.046, -0.014, -0.02), ""),  # in accuracy it loses nearly as much
    ],
)
def test_a_loss_on_rare_classes_that_accuracy_hides_is_told(selection, interval, told):
    lost = replace(selection)
    names = [f"test_balanced_accuracy_difference_{part}" for part in ("mean", "low", "high")]
    names += ["test_accuracy_difference_mean"] * (len(interval) == 4)
    vars(lost)["summary"] = selection.summary.assign(**dict(zip(names, interval, strict=True)))
    for said in (findings.headline(lost), answer([lost])):
        assert told in said
        assert ("rare classes" in said) == bool(told)


def as_far_from_its_control(folder):
    """Every seed of `infobatch` is as much better than its control of the same seed, to the last digit."""
    for file in folder.rglob("infobatch/*/metrics.json"):
        control = json.loads(Path(str(file).replace("infobatch/seed", "random-subset/seed")).read_text())
        metrics = json.loads(file.read_text()) | {"test_accuracy": control["test_accuracy"] + 0.015625}
        file.write_text(json.dumps(metrics))


def test_seeds_that_all_differ_from_a_control_by_the_same_decide_nothing_in_any_sentence(make_tables):
    study, tables, folder = make_tables(as_far_from_its_control, of=factory.selection)
    assert tables.summary.set_index("strategy")["control_verdict"]["infobatch"] == "undecided"
    compared = comparisons(folder, study)[0]
    line = next(line for line in findings.against_controls(compared).splitlines() if "| `random-subset` |" in line)
    assert line.endswith("| undecided |")
    assert (
        "it can't be told from its control `random-subset`, which back-propagates as many samples"
        in findings.headline(compared)
    )


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((0.001, 0.02), "better"),
        ((-0.02, -0.001), "worse"),
        ((-0.01, 0.01), "no difference shown"),
        ((0.01, 0.01), "undecided"),
        ((float("nan"), float("nan")), "undecided"),
    ],
)
def test_what_an_interval_says_of_a_control(interval, verdict):
    assert against_control(*interval) == verdict


def test_headline_does_not_hide_that_only_a_control_is_free_of_a_loss(make_tables):
    study, _, folder = make_tables(of=factory.selection, strategies=["full", "random-subset", "full-short"])
    assert "no proposal was run, only the baseline and controls" in findings.headline(comparisons(folder, study)[0])


def test_every_control_of_equal_cost_is_compared(selection):
    said = findings.against_controls(selection)
    assert "| `infobatch` | `random-subset` | +1." in said
    assert "| `infobatch` | `full-short` |" in said


def test_the_control_that_follows_a_strategy_comes_before_a_nearer_one(selection):
    for own in ("random-subset", "full-short"):
        study = selection.study.model_copy(update={"follows": {own: "infobatch"}})
        pools = {(selection.dataset, selection.model): pool_told(selection.summary)}
        pairs = equal_cost(study, selection.runs, ["dataset", "model", "strategy"], pools)
        controls = pairs["control"][pairs["strategy"] == "infobatch"].tolist()
        assert controls[0] == own
        assert len(controls) == 2


@pytest.mark.parametrize(
    ("interval", "found"),
    [
        ((0.125, -0.4044, 0.6544), "no difference is shown to"),
        ((0.001, -0.004, 0.006), "no difference is shown to"),
        ((-0.001, -0.006, 0.004), "no difference is shown to"),
        ((0.0, -0.004, 0.004), "it is as accurate, within the margin, as"),
    ],
)
def test_a_control_is_said_to_be_as_accurate_by_an_interval_inside_the_margin_alone(selection, interval, found):
    columns = dict(zip([f"control_difference_{part}" for part in ("mean", "low", "high")], interval, strict=True))
    summary = selection.summary.assign(**columns, control_verdict=against_control(*interval[1:]))
    said = findings.headline(replace(selection, tables=selection.tables | {"summary": summary}))
    assert f"; {found} its control `random-subset`, which back-propagates as many samples (" in said
    assert said.count("as accurate") == found.count("as accurate")


def test_headline_says_when_the_control_saves_too(selection):
    rate = {"samples_backpropagated_exchange_rate": 1.2, "samples_backpropagated_exchange_verdict": SAVES}
    rate |= {"samples_backpropagated_exchange_low": 1.1, "samples_backpropagated_exchange_high": 1.3}
    too, summary = replace(selection), selection.summary.copy()
    for column, value in rate.items():
        values = summary[column].astype(object)
        summary[column] = values.where(summary["strategy"] != "random-subset", value)
    vars(too)["summary"] = summary
    assert "and saves by its own exchange rate, 1.20 (1.10 to 1.30);" in findings.headline(too)
    assert "by its own exchange rate" not in findings.headline(selection)


@pytest.mark.parametrize(("seeds", "warned"), [(1, False), (2, True), (4, True), (5, False)])
def test_fewer_than_five_seeds_are_warned_of(seeds, warned):
    said = caveats.few_seeds(seeds)
    assert bool(said) == warned


def test_the_page_says_which_difference_its_seeds_can_see(compared, make_tables):
    said = caveats.in_sight(compared)
    assert said.startswith("With 3 seeds this study finds a difference of 0.")
    assert "enough for the margin of 0.5 points" in said
    study, _, folder = make_tables(margin=0.001)
    assert re.search(r"the margin of 0.1 points asks for \d+ seeds", caveats.in_sight(comparisons(folder, study)[0]))
    study, _, folder = make_tables(seeds=[1])
    assert caveats.in_sight(comparisons(folder, study)[0]) == "", "the headline says that one seed tells nothing"


def with_runs(compared, **columns):
    """The comparison with other columns of runs.csv; None leaves a column out, as in tables of before it was written."""
    runs = compared.tables["runs"].drop(columns=[name for name, value in columns.items() if value is None])
    runs = runs.assign(**{name: value for name, value in columns.items() if value is not None})
    return replace(compared, tables=compared.tables | {"runs": runs})


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (12, "12 test samples: one of them is 8.33 points, more than the margin of 0.5"),
        (199, "199 test samples: one of them is 0.503 points, more than the margin of 0.5"),
        (200, ""),
        (None, ""),
    ],
)
def test_a_test_set_too_small_for_the_margin_is_told_wherever_there_is_an_answer(selection, compared, count, told):
    for one in (selection, compared):  # of one study that saves and one that saves nothing
        small = with_runs(one, test_samples=count)
        for said in (findings.headline(small), findings.verdicts(small), answer([small])):
            assert told in said
            assert ("more than the margin of" in said) == bool(told)


def test_an_accuracy_that_counts_characters_is_not_judged_by_the_number_of_samples(selection):
    assert caveats.few_test_samples(with_runs(selection, test_samples=12))
    assert not caveats.few_test_samples(with_runs(selection, test_samples=12, test_wer=0.1))


def test_what_was_run_says_how_many_samples_each_split_has(results, tmp_path):
    folder = shutil.copytree(results / "tables/compression", tmp_path / "tables")
    told = reported.setting(folder).set_index("fact")["value"]
    assert told["samples"] == "digits 54,000 train, 6,000 validation, 10,000 test"
    pd.read_csv(folder / "runs.csv").drop(columns="test_samples").to_csv(folder / "runs.csv", index=False)
    assert reported.setting(folder).set_index("fact")["value"]["samples"] == "not in the records"


def test_missing_table_is_named(study, tmp_path):
    with pytest.raises(FrugalError, match=r"runs\.csv is missing"):
        comparisons(tmp_path, study)


def test_fidelity_is_spoken_of_only_where_it_differs(results, make_tables):
    assert "accuracy, uncompressed, %" in reported.savings(results / "tables/compression")
    _, _, folder = make_tables(of=factory.selection)
    table = reported.savings(folder)
    assert [column for column in table if "uncompressed" in column or "compression" in column] == []
    assert list(table.columns[5:]) == ["samples saved", "FLOPs saved", "seconds saved"]


def test_a_claim_stands_beside_what_was_measured_on_the_data_that_it_is_of(make_tables):
    said = reported.read_reported("config/reported/infobatch.csv")
    study, _, folder = make_tables(of=factory.selection, datasets=["digits", "cifar-10"], models=["resnet-18"])
    table = reported.claims(comparisons(folder, study), {"infobatch": said}).set_index(["strategy", "measured: on"])
    row = table.loc["infobatch", "cifar-10, resnet-18"]
    assert row["reported: on"] == "cifar-10, resnet-18"
    assert row["reported: accuracy, %"] == "95.37 (best epoch on test)"
    assert row["reported: saving"] == "36.4\N{NO-BREAK SPACE}% time"
    assert row["measured: joules saved"] == "no meter"


def test_what_a_program_made_is_said_to_be_generated(make_tables):
    study, _, folder = make_tables(of=factory.sparsity)
    (one,) = comparisons(folder, study)
    assert one.generated
    assert findings.headline(one).startswith("On generated data, `digits`")
    assert set(load.runs(folder)["where"]) == {"digits (generated), cnn-tiny"}


def test_one_strategy_without_seeds_takes_no_warning_from_the_others(make_tables):
    def spoil(root):
        for seed in (1, 2):
            shutil.rmtree(root / "digits/cnn-tiny/infobatch" / f"seed-{seed}")

    study, _, folder = make_tables(spoil, of=factory.with_budgets)
    (compared,) = comparisons(folder, study)
    assert caveats.seeds_of(compared) == (3, 3)
    assert "3 seeds are few" in caveats.few_seeds(caveats.seeds_of(compared)[0])


@given(st.floats(0.05, 5))
def test_a_rate_in_words_is_on_its_own_side_of_one(value):
    told = float(words.rate(value))
    assert (told < 1) == (value < 1) or abs(value - 1) < 1e-5
    assert told == pytest.approx(value, abs=0.005001)
    assert words.rate(0.99772) == "0.998"
