import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from frugal.report.statistics import (
    BETTER,
    EQUAL,
    NO_SPREAD,
    UNDECIDED,
    WORSE,
    holm,
    intervals,
    paired,
    verdict,
)

shares = st.floats(-1, 1)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_interval_is_students(values):
    table = pd.DataFrame({"cell": "a", "accuracy": values})
    row = intervals(table, ["cell"]).loc["a"]
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95) if np.ptp(values) > 1e-12 else (values[0],) * 2
    assert row["accuracy_mean"] == pytest.approx(np.mean(values))
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx((low, high), abs=1e-9)


def test_a_missing_value_makes_the_mean_unknown():
    table = pd.DataFrame({"cell": ["a", "a", "b"], "joules": [1.0, np.nan, 3.0]})
    row = intervals(table, ["cell"])
    assert row.loc["a"].isna().all()
    assert row.loc["b", "joules_mean"] == 3
    assert np.isnan(row.loc["b", "joules_low"]), "one seed has no interval"


def test_differences_are_paired_by_seed_whatever_the_order():
    baseline = pd.DataFrame({"seed": [2, 0, 1], "accuracy": [0.8, 0.5, 0.6]})
    mine = pd.DataFrame({"seed": [0, 1, 2], "accuracy": [0.51, 0.61, 0.81]})
    difference, saved = paired(mine, baseline, by=["seed"])
    assert difference["accuracy"].tolist() == pytest.approx([0.01] * 3)
    assert saved["accuracy"].tolist() == pytest.approx([1 - 0.51 / 0.5, 1 - 0.61 / 0.6, 1 - 0.81 / 0.8])


@given(low=shares, width=st.floats(1e-9, 1), margin=st.floats(0, 0.2))
def test_verdict_claims_only_what_the_whole_interval_allows(low, width, margin):
    high = low + width
    assume(low != -margin)
    name, reason = verdict(low, high, margin)
    assert (name == BETTER) == (low > 0)
    assert (name == EQUAL) == (-margin <= low <= 0)
    assert (name == WORSE) == (low < -margin and high < -margin)
    assert (name == UNDECIDED) == (low < -margin <= high)
    assert reason


@pytest.mark.parametrize("difference", [0.017, 0.0, -0.3])
def test_seeds_that_agree_to_the_last_digit_decide_nothing(difference):
    assert verdict(difference, difference, 0.02) == (UNDECIDED, NO_SPREAD)


def test_one_seed_decides_nothing():
    name, reason = verdict(np.nan, np.nan, 0.01)
    assert name == UNDECIDED
    assert "one seed" in reason


@given(st.lists(st.one_of(st.floats(0, 1), st.just(np.nan)), max_size=8))
def test_holm_rejects_what_stepping_down_rejects(p):
    """Holm's procedure by its definition: the k-th smallest of m against level / (m - k + 1), until one is not rejected."""
    level, known = 0.05, sorted(value for value in p if not np.isnan(value))
    rejected = 0
    while rejected < len(known) and known[rejected] * (len(known) - rejected) <= level:
        rejected += 1
    adjusted = holm(pd.Series(p, dtype=float))
    assert (adjusted <= level).sum() == rejected
    assert adjusted.isna().tolist() == [bool(np.isnan(value)) for value in p]
    assert (adjusted.dropna() >= pd.Series(p, dtype=float).dropna()).all()
