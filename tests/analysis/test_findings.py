import pytest

from frugal.analysis import findings, overview
from frugal.analysis.comparison import comparisons
from frugal.errors import FrugalError

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
    assert "Every one that reads less loses more than the margin" in said


def test_headline_admits_that_one_seed_says_nothing(make_tables):
    study, _, folder = make_tables(seeds=[0])
    assert "one seed was run" in findings.headline(comparisons(study, folder)[0])


@pytest.mark.parametrize(
    ("share", "said"), [(0.673, "67"), (0.9996, "99.96"), (0.0004, "0.04"), (-0.2, "-20"), (0, "0")]
)
def test_percent_never_rounds_up_to_all_or_down_to_nothing(share, said):
    assert findings.percent(share) == f"{said}\N{NO-BREAK SPACE}%"


def test_reported_figures_stand_as_the_source_gives_them(compared):
    table = overview.reported_and_measured(compared, overview.read_reported(REPORTED)).set_index("run")
    assert set(table.loc[["0", "1", "2", "3", "4"], "reported (mnist): accuracy %"]) == {"95.58"}
    seconds = ["827.24", "1207.59", "873.32", "816.29", "808.59", "never run"]
    assert table["reported: seconds"].tolist() == seconds
    why = overview.why_they_differ(compared, overview.read_reported(REPORTED))
    assert "808.6 s slower than 816.3 s" in why
    assert "on digits rather than mnist" in why


def test_missing_table_is_named(study, tmp_path):
    with pytest.raises(FrugalError, match=r"runs\.csv is missing"):
        comparisons(study, tmp_path)
