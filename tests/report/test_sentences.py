import json
from pathlib import Path

import pytest

from frugal.errors import FrugalError
from frugal.report import compression_findings, infobatch_findings
from frugal.report import headline as overview
from frugal.report import sentences as findings
from frugal.report.load import comparisons
from frugal.report.statistics import against_control
from frugal.study import study_of
from report import factory

REPORTED = "config/reported/compression.csv"


@pytest.fixture
def compared(study, results):
    return comparisons(study, results / "tables/compression")[0]


def test_headline_names_only_what_keeps_the_accuracy(compared):
    said = findings.headline(compared)
    assert "`fixed-16`" in said
    assert "fixed-4" not in said, "it saves most bytes and loses twenty points"
    assert "67" in said


def test_headline_admits_that_nothing_is_free(make_tables):
    study, _, folder = make_tables(strategies=["full", "fixed-4"])
    said = findings.headline(comparisons(study, folder)[0])
    assert "no strategy saves anything" in said
    assert "Every one that saves something loses more than the margin" in said


def test_headline_admits_that_one_seed_says_nothing(make_tables):
    study, _, folder = make_tables(seeds=[0])
    assert "one seed was run" in findings.headline(comparisons(study, folder)[0])


@pytest.mark.parametrize(
    ("share", "said"), [(0.673, "67"), (0.9996, "99.96"), (0.0004, "0.04"), (-0.2, "-20"), (0, "0")]
)
def test_percent_never_rounds_up_to_all_or_down_to_nothing(share, said):
    assert findings.percent(share) == f"{said}\N{NO-BREAK SPACE}%"


def test_reported_figures_stand_as_the_source_gives_them(compared):
    table = compression_findings.reported_and_measured(compared, overview.read_reported(REPORTED)).set_index("run")
    assert set(table.loc[["0", "1", "2", "3", "4"], "reported (mnist): accuracy %"]) == {"95.58"}
    seconds = ["827.24", "1207.59", "873.32", "816.29", "808.59", "never run"]
    assert table["reported: seconds"].tolist() == seconds
    why = compression_findings.why_they_differ(compared, overview.read_reported(REPORTED))
    assert "808.6 s slower than 816.3 s" in why
    assert "on digits rather than mnist" in why


def test_headline_speaks_of_the_cost_that_the_study_is_about(selection):
    said = findings.headline(selection)
    assert "`infobatch` back-propagates **30\N{NO-BREAK SPACE}%** fewer samples" in said
    assert "bytes" not in said


def test_headline_says_what_the_control_of_equal_cost_says(selection):
    assert "`infobatch` is better than its control `random-subset`" in findings.headline(selection)


def as_far_from_its_control(folder):
    """Every seed of `infobatch` is as much better than its control of the same seed, to the last digit."""
    for file in folder.rglob("infobatch/*/metrics.json"):
        control = json.loads(Path(str(file).replace("infobatch/seed", "random-subset/seed")).read_text())
        metrics = json.loads(file.read_text()) | {"test_accuracy": control["test_accuracy"] + 0.015625}
        file.write_text(json.dumps(metrics))


def test_seeds_that_all_differ_from_a_control_by_the_same_decide_nothing_in_any_sentence(make_tables):
    study, tables, folder = make_tables(as_far_from_its_control, of=factory.selection)
    assert tables.summary.set_index("strategy")["control_verdict"]["infobatch"] == "undecided"
    compared = comparisons(study, folder)[0]
    line = next(line for line in findings.against_controls(compared).splitlines() if "against `random-subset`" in line)
    assert line.endswith(": undecided")
    assert "`infobatch` cannot be told from its control `random-subset`" in findings.headline(compared)


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
    assert "the control `full-short` back-propagates" in findings.headline(comparisons(study, folder)[0])


def test_every_control_of_equal_cost_is_compared(selection):
    said = findings.against_controls(selection)
    assert "`infobatch` against `random-subset`: +1." in said
    assert "`infobatch` against `full-short`" in said


@pytest.mark.parametrize(("seeds", "warned"), [(1, False), (2, True), (4, True), (5, False)])
def test_fewer_than_five_seeds_are_warned_of(seeds, warned):
    said = findings.few_seeds(study_of(factory.study(seeds=list(range(seeds)))))
    assert bool(said) == warned


def test_fidelity_is_spoken_of_only_where_it_differs(compared, selection):
    assert "accuracy, own fidelity" in overview.headline_table(compared)
    table = overview.headline_table(selection)
    assert [column for column in table if "fidelity" in column or "compress" in column] == []
    assert list(table.columns[5:]) == ["samples saved", "FLOPs saved", "seconds saved"]


def test_reported_and_measured_stand_in_one_row_only_for_one_data_set_and_net(make_tables):
    reported = overview.read_reported("config/reported/infobatch.csv")
    pairs = {"datasets": ["digits", "cifar-10"], "models": ["resnet-18"]}
    study, _, folder = make_tables(of=factory.selection, **pairs)
    table = infobatch_findings.reported_and_measured(comparisons(study, folder), reported)
    told = table.set_index(["data set, model", "strategy"])
    source, ours = "reported: best epoch %", "measured: last epoch %"
    assert told[source].str.contains(r"\d").sum() == 8, "the four tables of the source, two rows each"
    both = told[told[source].str.contains(r"\d") & told[ours].str.contains(r"\d")]
    assert set(both.index.get_level_values(0)) == {"cifar-10, resnet-18"}
    other = told[(told[source] == "–") & told[ours].str.contains(r"\d")]
    assert set(other.index.get_level_values(0)) == {"digits, resnet-18<br><small>not the source's</small>"}
    assert both[source].str.replace("<small>", "").str.replace("</small>", "").tolist() == ["95.58", "95.37 (−0.21)"]


def test_best_epoch_is_no_better_than_it_was(selection):
    best = infobatch_findings.best_and_last(selection).set_index("strategy")
    assert (best["best_mean"] - best["last_mean"]).tolist() == pytest.approx([0.003] * 4)


def test_missing_table_is_named(study, tmp_path):
    with pytest.raises(FrugalError, match=r"runs\.csv is missing"):
        comparisons(study, tmp_path)
