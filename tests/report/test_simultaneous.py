"""Simultaneous intervals: they hold, they are scipy's where the layouts agree, and what scatters otherwise is not pooled."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from frugal.report.pool import UNPAIRED, Pool, by_seed, pool_of, pool_told, seed_shifts, unshared_variances, with_others
from frugal.report.power import detectable
from frugal.report.simultaneous import BASELINE_APART, compare, critical_value
from frugal.study import Study

# Dunnett 1955, table 1: blood counts (millions of cells per cubic millimetre) after no drug, drug A and drug B.
BLOOD = {
    "control": [7.40, 8.50, 7.20, 8.24, 9.84, 8.32],
    "A": [9.76, 8.80, 7.68, 9.36],
    "B": [12.80, 9.68, 12.16, 9.20, 10.55],
}


def study(values):
    """A row per strategy, a column per seed -> runs."""
    frame = pd.DataFrame(values, index=[f"s{i}" for i in range(len(values))])
    return (
        frame.rename_axis("strategy")
        .melt(ignore_index=False, var_name="seed", value_name="value")
        .reset_index()
        .dropna()
    )


def drawn(generator, strategies, seeds, spread=0.0015):
    return 0.9 + generator.normal(0, 0.002, (1, seeds)) + generator.normal(0, spread, (strategies, seeds))


@pytest.mark.parametrize(("comparisons", "freedom"), [(1, 4), (2, 16), (5, 20), (9, 60)])
def test_critical_values_are_the_points_of_the_multivariate_t(comparisons, freedom):
    bound = np.full(comparisons, critical_value(comparisons, freedom))
    correlated = stats.multivariate_t(shape=0.5 * np.eye(comparisons) + 0.5, df=freedom)
    assert correlated.cdf(bound, lower_limit=-bound, random_state=0) == pytest.approx(0.95, abs=0.001)


@pytest.mark.parametrize(
    ("freedom", "published"),
    [
        (5, [2.57, 3.03, 3.29, 3.48, 3.62, 3.73, 3.82, 3.90, 3.97]),
        (10, [2.23, 2.57, 2.76, 2.89, 2.99, 3.07, 3.14, 3.19, 3.24]),
        (20, [2.09, 2.38, 2.54, 2.65, 2.73, 2.80, 2.86, 2.90, 2.95]),
        (60, [2.00, 2.27, 2.41, 2.51, 2.58, 2.64, 2.69, 2.73, 2.77]),
    ],
)
def test_critical_values_are_those_of_dunnetts_two_sided_table(freedom, published):
    """Dunnett, "New Tables for Multiple Comparisons with a Control", Biometrics 20 (1964): 5 %, 1 to 9 treatments."""
    ours = [critical_value(comparisons, freedom) for comparisons in range(1, 10)]
    assert ours == pytest.approx(published, abs=0.0051)


def test_intervals_are_those_that_minitab_prints_for_three_groups_of_six():
    """http://www.stat.wmich.edu/wang/664/egs/MTBmice.html: error mean square 73.97, 15 degrees of freedom."""
    steps = np.array([-1, -1, -1, 1, 1, 1]) * np.sqrt(1109.5 / 18)
    means = {"C": 0.0, "1": 14.5, "2": 10.5}
    table, pool = compare(rows_of({name: mean + steps for name, mean in means.items()}), "C", share=False)
    assert (pool.variance, pool.freedom) == (pytest.approx(73.97, abs=0.005), 15)
    assert table["difference_low"][["1", "2"]].to_numpy() == pytest.approx([2.388, -1.612], abs=0.002)
    assert table["difference_high"][["1", "2"]].to_numpy() == pytest.approx([26.61, 22.61], abs=0.006)


# Minutes of recovery under four blankets: data set `recovery` of R's package multcomp.
RECOVERY = {
    "b0": [15, 13, 12, 16, 16, 17, 13, 13, 16, 17, 17, 19, 17, 15, 13, 12, 16, 10, 17, 12],
    "b1": [13, 16, 9],
    "b2": [5, 8, 9],
    "b3": [14, 16, 16, 12, 7, 12, 13, 13, 9, 16, 13, 18, 13, 12, 13],
}
# Yields of five varieties of barley at six places in 1931: data set `immer` of R's package MASS.
BARLEY = {
    "M": [81.0, 146.6, 82.3, 119.8, 98.9, 86.9],
    "P": [98.3, 145.7, 89.6, 124.8, 104.1, 96.0],
    "S": [105.4, 142.0, 77.3, 121.4, 89.0, 77.1],
    "T": [109.7, 191.5, 131.3, 140.8, 89.3, 101.8],
    "V": [119.7, 150.7, 78.4, 124.0, 69.1, 78.9],
}


def rows_of(groups):
    numbers = iter(range(1000))
    alone = [(name, next(numbers), value) for name, group in groups.items() for value in group]
    return pd.DataFrame(alone, columns=["strategy", "seed", "value"])


def test_intervals_of_unequal_groups_are_those_that_r_prints():
    """confint(glht(aov(minutes ~ blanket), mcp(blanket = "Dunnett"))), R 4.2.2 with multcomp 1.4-22."""
    table, pool = compare(rows_of(RECOVERY), "b0", share=False)
    assert (pool.variance, pool.freedom) == (pytest.approx(6.71, abs=0.005), 37)
    others = table.loc[["b1", "b2", "b3"]]
    assert others["difference_low"].to_numpy() == pytest.approx([-6.1231, -11.4565, -3.8678], abs=0.01)
    assert others["difference_high"].to_numpy() == pytest.approx([1.8565, -3.4769, 0.5344], abs=0.01)


def test_intervals_of_a_two_way_layout_are_those_that_r_prints():
    """confint(glht(aov(Y1 ~ Loc + Var), mcp(Var = "Dunnett"))), R 4.2.2 with multcomp 1.4-22; places stand for seeds."""
    given = [(name, place, value) for name, group in BARLEY.items() for place, value in enumerate(group)]
    table, pool = compare(pd.DataFrame(given, columns=["strategy", "seed", "value"]), "M", share=False)
    assert (pool.variance, pool.freedom) == (pytest.approx(163, abs=0.5), 20)
    others = table.loc[["P", "S", "T", "V"]]
    assert others["difference_low"].to_numpy() == pytest.approx([-12.3707, -20.0874, 5.2793, -18.6541], abs=0.01)
    assert others["difference_high"].to_numpy() == pytest.approx([26.7041, 18.9874, 44.3541, 20.4207], abs=0.01)


def test_unequal_groups_have_the_intervals_of_scipys_dunnett():
    table, _ = compare(rows_of(BLOOD), "control", share=False)
    theirs = stats.dunnett(BLOOD["A"], BLOOD["B"], control=BLOOD["control"]).confidence_interval(0.95)
    assert table["difference_low"][["A", "B"]].to_numpy() == pytest.approx(theirs.low, abs=0.01)  # theirs is drawn
    assert table["difference_high"][["A", "B"]].to_numpy() == pytest.approx(theirs.high, abs=0.01)


@pytest.mark.parametrize("seeds", [3, 10])
def test_all_intervals_of_a_study_hold_together_in_about_95_of_100_studies(seeds):
    generator, held, means, studies = np.random.default_rng(seeds), 0, [], 300
    for _ in range(studies):
        table, _ = compare(study(drawn(generator, 8, seeds)), "s0")
        others = table.drop(index="s0")
        held += ((others["difference_low"] <= 0) & (others["difference_high"] >= 0)).all()
        means.append(((table["low"] <= 0.9) & (table["high"] >= 0.9)).mean())
    assert 0.92 <= held / studies <= 0.98  # two standard errors of 300 studies around 0.95
    assert 0.92 <= np.mean(means) <= 0.98


def test_a_strategy_that_collapsed_is_named_and_widens_nobody_elses_interval():
    generator = np.random.default_rng(0)
    values = drawn(generator, 8, 5)
    sound, _ = compare(study(values), "s0")
    values[3] = [0.1, 0.85, 0.4, 0.1, 0.7]
    table, pool = compare(study(values), "s0")
    assert list(pool.apart) == ["s3"]
    assert "times as far" in table["reason"]["s3"]
    width = lambda t: t["difference_high"]["s1"] - t["difference_low"]["s1"]  # noqa: E731
    assert width(table) == pytest.approx(width(sound), rel=0.3)
    assert 0 <= table["low"]["s3"] <= table["high"]["s3"] <= 1


def test_a_strategy_whose_seeds_all_agree_is_not_pooled():
    values = drawn(np.random.default_rng(1), 6, 4)
    values[2] = 0.1
    table, pool = compare(study(values), "s0")
    assert "no spread" in pool.apart["s2"]
    assert table["difference_low"].notna()[["s1", "s3", "s4", "s5"]].all()


@given(
    st.integers(2, 6),
    st.integers(1, 5),
    st.integers(0, 2**31),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4))),
)
@settings(max_examples=60, deadline=None)
def test_missing_runs_never_stop_a_comparison_and_every_interval_holds_its_mean(strategies, seeds, draw, missing):
    values = drawn(np.random.default_rng(draw), strategies, seeds)
    for strategy, seed in missing:
        if strategy < strategies and seed < seeds:
            values[strategy, seed] = np.nan
    runs = study(values)
    table, _ = compare(runs, "s0")
    assert list(table.index) == list(dict.fromkeys(runs["strategy"]))
    known = table.dropna(subset=["difference_low"])
    assert (known["difference_low"] <= known["difference"]).all()
    assert (known["difference"] <= known["difference_high"]).all()
    bounds = table[["low", "high"]].dropna()
    assert ((bounds >= 0) & (bounds <= 1)).all().all()


def test_one_seed_gives_differences_and_no_interval():
    table, _ = compare(study([[0.9], [0.8]]), "s0")
    assert table["difference"]["s1"] == pytest.approx(-0.1)
    assert np.isnan(table["difference_low"]["s1"])
    assert table["reason"]["s1"] == "one seed gives no interval"


def ground(values, names, baseline="s0"):
    """A study of those strategies named, and a row per run of all that was trained."""
    runs = study(values).rename(columns={"value": "test_accuracy"})
    return Study.model_construct(baseline=baseline, strategies=names), runs


def test_what_is_not_compared_never_widens_the_pool_and_is_tested_against_it():
    values = drawn(np.random.default_rng(2), 8, 5)
    of, alone = ground(values[:6], [f"s{i}" for i in range(6)])
    values[6] = 0.5 + 30 * (values[6] - 0.9)  # a small budget, whose runs scatter
    _, runs = ground(values, of.strategies)
    plain = pool_of(by_seed(alone), "s0")
    pool = with_others(plain, by_seed(runs), of.strategies)
    assert (pool.variance, pool.freedom) == (plain.variance, plain.freedom)
    assert set(pool.apart) - set(plain.apart) == {"s6"}
    table, known = compare(alone.rename(columns={"test_accuracy": "value"}), "s0")
    summary = table.assign(
        strategy=table.index,
        interval_remark=table["reason"],
        pool_spread=known.variance**0.5,
        pool_freedom=known.freedom,
    )
    told = pool_told(summary)
    assert told.variance == pytest.approx(plain.variance)
    assert (told.freedom, told.apart) == (plain.freedom, plain.apart)


def test_a_strategy_that_no_chain_of_seeds_ties_to_the_baseline_is_not_compared():
    """Least squares alone would give it a difference all the same, of tens of points."""
    values = drawn(np.random.default_rng(3), 5, 8)
    values[:3, 5:], values[3, :5] = np.nan, np.nan  # the baseline and two others have seeds 0 to 4, the fourth 5 to 7
    values[4, :6] = np.nan  # and the fifth shares seeds with the fourth alone
    table, _ = compare(study(values), "s0")
    assert table.loc[["s3", "s4"], ["difference", "difference_low", "level"]].isna().all(axis=None)
    assert set(table.loc[["s3", "s4"], "reason"]) == {UNPAIRED}
    known, _ = compare(study(values[:3]), "s0")
    assert np.allclose(table.loc["s1", "difference"], known.loc["s1", "difference"])
    of, runs = ground(values, [f"s{place}" for place in range(5)])
    shifts = seed_shifts(of, by_seed(runs), pool_of(by_seed(runs), "s0"))
    assert shifts.isna().to_dict() == {"s0": False, "s1": False, "s2": False, "s3": True, "s4": True}
    values[2, 5] = 0.9  # one run ties them
    tied, _ = compare(study(values), "s0")
    assert tied["difference_low"].drop("s0").notna().all()
    assert (tied["difference"].drop("s0").abs() < 0.02).all()


@given(st.integers(0, 2**31), st.integers(2, 5))
@settings(max_examples=30, deadline=None)
def test_a_strategy_of_fewer_seeds_is_judged_as_if_it_had_those_of_the_baseline(draw, fewer):
    generator = np.random.default_rng(draw)
    strategies, seeds = generator.normal(0.9, 0.02, 5), generator.normal(0, 0.05, 8)
    values = strategies[:, None] + seeds
    values[1:4, fewer:] = np.nan
    of, runs = ground(values, [f"s{i}" for i in range(4)])
    by = by_seed(runs)
    shifts = seed_shifts(of, by, Pool(0.01, 20))
    assert (by.mean(axis=1) - shifts - seeds.mean()).to_numpy() == pytest.approx(strategies, abs=1e-9)
    assert shifts[["s0", "s4"]].to_numpy() == pytest.approx([0, 0], abs=1e-9)


def test_what_a_seed_is_worth_is_known_the_better_the_more_strategies_have_it():
    generator = np.random.default_rng(0)

    def added(strategies, whole):
        """Of s1, with seeds 0 to 4 of the baseline's 10, beside `whole` strategies that have all 10."""
        values = generator.normal(0.9, 0.01, (strategies, 10))
        values[1 : strategies - whole, 5:] = np.nan
        of, runs = ground(values, [f"s{place}" for place in range(strategies)])
        return unshared_variances(of, by_seed(runs), Pool(0.0001, 20))

    alone = added(2, 0)
    assert alone["s1"] == pytest.approx(2 / 5 - 1 / 5 - 1 / 10)  # no better than over the five seeds that both have
    beside = [added(3 + whole, whole)["s1"] for whole in (1, 4, 9)]
    assert alone["s1"] > beside[0] > beside[1] > beside[2] > 0
    assert added(4, 3).tolist() == [0.0] * 4


def test_a_baseline_that_scatters_otherwise_is_not_pooled():
    """Three times as far, ten seeds: of 60 studies without any difference hardly one has an interval that misses 0."""
    generator, missed, apart = np.random.default_rng(5), 0, 0
    for _ in range(60):
        values = 0.9 + 0.001 * generator.normal(size=(11, 10)) * np.where(np.arange(11) == 0, 3, 1)[:, None]
        table, pool = compare(study(values), "s0")
        others = table.drop("s0")
        missed += (others["difference_low"] > 0).any() or (others["difference_high"] < 0).any()
        apart += "s0" in pool.apart
        assert (others["reason"] == BASELINE_APART).sum() in (0, 10 - len(set(pool.apart) - {"s0"}))
    assert apart > 50
    assert missed <= 8


def test_nets_that_all_agree_have_no_spread_though_rounding_leaves_some():
    """Three nets at chance: 0.3389830508474576 in every seed, whose mean is another number."""
    runs = study(np.full((3, 3), 20 / 59))
    pool = pool_of(by_seed(runs, "value"), "s0")
    assert (pool.variance, pool.apart) == (0.0, {})
    table, _ = compare(runs, "s0")
    assert table["difference_low"].isna().all()
    assert np.isnan(detectable(1e-13, 4, 3, 2))
