"""What a study's seeds can see is what simulated studies find."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal.report.power import MOST, POWER, detectable, power, seeds_for
from frugal.report.simultaneous import critical_value


def found(difference, spread, freedom, seeds, comparisons, studies=20_000):
    """Share of simulated studies whose interval of one such difference leaves out 0."""
    generator = np.random.default_rng(seeds)
    means = difference + generator.normal(0, spread * np.sqrt(2 / seeds), studies)
    estimated = spread * np.sqrt(generator.chisquare(freedom, studies) / freedom)
    half = critical_value(comparisons, freedom) * estimated * np.sqrt(2 / seeds)
    return (np.abs(means) > half).mean()


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("comparisons", [1, 6])
def test_the_difference_that_is_said_to_be_seen_is_found_in_80_of_100_simulated_studies(seeds, comparisons):
    freedom = comparisons * (seeds - 1)
    least = detectable(0.0015, freedom, seeds, comparisons)
    assert found(least, 0.0015, freedom, seeds, comparisons) == pytest.approx(POWER, abs=0.01)
    assert power(least, 0.0015, freedom, seeds, comparisons) == pytest.approx(POWER, abs=1e-4)


@given(st.floats(0.001, 0.02), st.floats(0.0005, 0.01), st.integers(1, 8))
@settings(max_examples=8, deadline=None)
def test_the_seeds_advised_are_the_fewest_that_see_the_margin(margin, spread, comparisons):
    seeds = seeds_for(margin, spread, comparisons)
    if seeds is None:
        assert detectable(spread, comparisons * (MOST - 1), MOST, comparisons) > margin
        return
    assert detectable(spread, comparisons * (seeds - 1), seeds, comparisons) <= margin
    assert seeds == 2 or detectable(spread, comparisons * (seeds - 2), seeds - 1, comparisons) > margin


def test_a_spread_known_from_elsewhere_asks_for_fewer_seeds():
    assert seeds_for(0.005, 0.002, 2, freedom=60) < seeds_for(0.005, 0.002, 2)


def test_a_margin_out_of_reach_is_said_and_no_margin_refused():
    assert seeds_for(1e-6, 0.01, 5) is None
    with pytest.raises(ValueError, match="above 0"):
        seeds_for(0.0, 0.01, 5)
    assert np.isnan(detectable(0.01, 0, 1, 5))
