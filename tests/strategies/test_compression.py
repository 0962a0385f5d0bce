"""Who is read finely, and who coarsely."""

from fractions import Fraction
from math import ceil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import tiny
from frugal.errors import FrugalError
from frugal.strategies.base import Run
from frugal.strategies.compression import Compression

LOSSES = arrays("float32", st.integers(2, 60), elements=st.floats(0, 10, width=32) | st.just(float("inf")))


def started(samples, epochs=8, followed=None, **parameters):
    strategy = Compression(**parameters)
    strategy.start(Run(samples, epochs, 0, torch.device("cpu"), followed))
    return strategy


@given(losses=LOSSES, rule=st.sampled_from(["median", "fixed", "ema"]))
def test_unseen_samples_are_read_at_the_high_level_and_so_is_every_loss_above_the_threshold(losses, rule):
    losses = torch.from_numpy(losses)
    strategy = started(len(losses), k_hi=16, k_lo=4, rule=rule)
    level = strategy.plan_epoch(1, losses).level
    assert (level[losses.isinf()] == 16).all()
    if strategy.limit is not None:
        assert torch.equal(level == 16, losses > strategy.limit)


@given(losses=LOSSES)
def test_median_keeps_at_most_half_of_the_seen_samples_high(losses):
    losses = torch.from_numpy(losses)
    level = started(len(losses), k_hi=16, k_lo=4, rule="median").plan_epoch(1, losses).level
    seen = losses.isfinite()
    assert (level[seen] == 16).sum() <= seen.sum() / 2


def test_ema_follows_the_formula():
    strategy = started(4, k_hi=16, k_lo=4, rule="ema", decay=0.9)
    strategy.plan_epoch(0, torch.full((4,), float("inf")))
    assert strategy.evidence()["threshold"] is None
    strategy.plan_epoch(1, torch.tensor([1.0, 2.0, 3.0, 6.0]))
    assert strategy.evidence()["threshold"] == pytest.approx(3.0)
    plan = strategy.plan_epoch(2, torch.tensor([0.0, 2.95, 3.0, 2.05]))
    assert strategy.evidence()["threshold"] == pytest.approx(0.9 * 3 + 0.1 * 2)
    assert plan.level.tolist() == [4, 16, 16, 4]
    assert strategy.evidence()["share_k16"] == 0.5
    assert strategy.evidence()["flip_rate"] == 0.75  # only the first sample kept its level


@given(epochs=st.integers(1, 40), anneal=st.integers(0, 1000).map(lambda n: n / 1000))
def test_the_last_share_of_the_epochs_reads_everything_finely(epochs, anneal):
    strategy = started(10, epochs, k_hi=16, k_lo=4, rule="fixed", anneal=anneal)
    fine = [bool((strategy.plan_epoch(e, torch.zeros(10)).level == 16).all()) for e in range(epochs)]
    assert sum(fine) == ceil(Fraction(str(anneal)) * epochs)
    assert fine == sorted(fine)


@given(samples=st.integers(2, 50), chosen=st.data())
def test_the_random_control_reads_exactly_as_many_finely_as_the_run_it_follows(samples, chosen):
    counts = [chosen.draw(st.integers(0, samples)) for _ in range(3)]
    followed = [{"share_k16": count / samples} for count in counts]
    strategy = started(samples, 3, followed, k_hi=16, k_lo=4, rule="random")
    losses = torch.rand(samples)
    assert [(strategy.plan_epoch(e, losses).level == 16).sum().item() for e in range(3)] == counts


def test_a_random_control_without_a_run_to_follow_is_refused():
    with pytest.raises(FrugalError, match="name that strategy with `follows:`"):
        started(10, k_hi=16, k_lo=4, rule="random")


def test_levels_the_wrong_way_round_are_refused():
    with pytest.raises(FrugalError, match="k_lo is 16 and k_hi 4"):
        Compression(k_hi=4, k_lo=16)


def test_a_lone_sample_is_no_spectral_batch_of_its_own():
    strategy = started(10, k_hi=16, k_lo=4, rule="fixed", decode="spectral")
    losses = torch.zeros(10)
    losses[3] = 5
    assert (strategy.plan_epoch(1, losses).level == 4).all()
    assert (strategy.plan_epoch(1, 5 - losses).level == 16).all()


@pytest.mark.parametrize("decode", ["native", "spectral"])
def test_bytes_and_flops_are_those_of_the_levels_read(digits, decode):
    run = tiny.spec("compression", k_lo=2, k_hi=5, rule="median", decode=decode)
    trainer = tiny.trainer(digits, run)
    trainer.run()
    for row in trainer.history.rows:
        shares = {level: round(row[f"share_k{level}"] * row["samples"]) for level in (2, 5)}
        assert row["bytes_read"] == shares[2] * 4 + shares[5] * 25
    assert trainer.ledger.bytes_raw == 3 * 300 * 64
    full = tiny.trainer(digits, tiny.spec("full"))
    full.run()
    network = [t.ledger.flops_forward + t.ledger.flops_backward for t in (trainer, full)]
    assert network[0] < 0.6 * network[1] if decode == "spectral" else network[0] == network[1]
    assert trainer.ledger.flops_decoding > 0 == full.ledger.flops_decoding
