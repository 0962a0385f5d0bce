"""Leaving samples out: without changing what is learned on average, or so that what is learned instead is known."""

import io
from fractions import Fraction
from math import ceil
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import hypergeom
from sklearn.cluster import KMeans

import tiny
from frugal.errors import FrugalError
from frugal.plan import Plan
from frugal.strategies.base import Run
from frugal.strategies.equal_cost import EqualCost
from frugal.strategies.fixed_subset import FixedSubset
from frugal.strategies.infobatch import InfoBatch
from frugal.strategies.infobatch_exact import InfoBatchExact
from frugal.strategies.orderdp import OrderDP
from frugal.strategies.random_subset import RandomSubset
from frugal.strategies.seta import SeTa

CONFIG = Path(__file__).parents[2] / "config"
SELECTING = {"infobatch": InfoBatch, "infobatch_exact": InfoBatchExact, "orderdp": OrderDP, "seta": SeTa}
INF = float("inf")
LOSSES = arrays("float32", st.integers(4, 80), elements=st.floats(0, 10, width=32) | st.just(INF))
SEEN = arrays("float32", st.integers(4, 80), elements=st.floats(0, 10, width=32))


def started(strategy, samples, epochs=8, seed=0, followed=None):
    strategy.start(Run(samples, epochs, seed, torch.device("cpu"), followed))
    return strategy


@given(losses=LOSSES, ratio=st.floats(0, 0.99))
def test_weights_of_an_epoch_stand_for_every_sample(losses, ratio):
    losses = torch.from_numpy(losses)
    strategy = started(InfoBatch(prune_ratio=ratio), len(losses))
    plan, mean = strategy.plan_epoch(1, losses), strategy.evidence()["threshold"]
    if plan.keep is None:
        assert mean is None or not (losses.double() < mean).any()
        return
    easy = losses.double() < mean
    assert mean == pytest.approx(losses[losses.isfinite()].double().mean().item(), rel=1e-9)
    assert plan.keep[~easy].all(), "hard and unseen samples are always kept"
    assert (plan.weight[~easy] == 1).all()
    exact = (1 - ratio) * easy.sum().item()
    assert max(1, exact - 1) - 1e-6 <= (plan.keep & easy).sum() <= max(1, exact + 1e-6)
    assert plan.weight[plan.keep].double().sum().item() == pytest.approx(len(losses), rel=1e-6)
    assert strategy.evidence()["pruned_share"] == pytest.approx(1 - plan.keep.double().mean().item())


def test_a_ratio_that_floating_point_misses_is_kept():
    """(1 - 0.8) * 10 is a little less than 2."""
    plan = started(InfoBatch(prune_ratio=0.8), 11).plan_epoch(1, torch.tensor([0.1] * 10 + [9.0]))
    assert plan.keep.sum() == 2 + 1


@given(losses=SEEN, ratio=st.floats(0, 0.75))
def test_the_exact_ratio_of_all_samples_is_left_out(losses, ratio):
    losses = torch.from_numpy(losses)
    strategy = started(InfoBatchExact(prune_ratio=ratio), len(losses))
    plan, pruned = strategy.plan_epoch(1, losses), round(ratio * len(losses))
    assert strategy.evidence()["pruned_share"] == pruned / len(losses)
    if pruned == 0:
        assert plan.keep is None
        return
    assert (~plan.keep).sum() == pruned
    assert plan.weight[plan.keep].double().sum().item() == pytest.approx(len(losses), rel=1e-5)
    assert plan.weight.max() <= 4 + 12 / len(losses) + 1e-6, "a quarter of the pool stays, but for rounding"
    mean = losses.double().mean()
    pool = max((losses.double() < mean).sum().item(), min(len(losses), ceil(pruned / 0.75)))
    bound = losses.sort().values[pool - 1]
    assert (losses[~plan.keep] <= bound).all(), "only the easiest are left out"


@given(losses=LOSSES, ratio=st.floats(0, 0.75))
def test_the_exact_ratio_never_takes_an_unseen_sample(losses, ratio):
    losses = torch.from_numpy(losses)
    plan = started(InfoBatchExact(prune_ratio=ratio), len(losses)).plan_epoch(1, losses)
    if plan.keep is not None:
        assert plan.keep[losses.isinf()].all()
        assert (plan.weight[losses.isinf()] == 1).all()
        assert plan.weight[plan.keep].double().sum().item() == pytest.approx(len(losses), rel=1e-5)


@settings(max_examples=20, deadline=None)
@given(ratio=st.floats(0, 0.74), seed=st.integers(0, 999), strategy=st.sampled_from([InfoBatch, InfoBatchExact]))
def test_the_pruned_gradient_is_unbiased(ratio, seed, strategy):
    """Over many draws the weighted mean gradient is the full one, within five standard errors of the draws."""
    draw = torch.Generator().manual_seed(seed)
    losses, gradients = torch.rand(30, generator=draw), torch.randn(30, 5, generator=draw)
    strategy, draws = started(strategy(prune_ratio=ratio), 30, seed=seed), []
    for _ in range(600):
        plan = strategy.plan_epoch(1, losses)
        weight = torch.ones(30) if plan.keep is None else plan.weight * plan.keep
        draws.append((gradients * weight[:, None]).mean(0))
    draws = torch.stack(draws).double()
    error = draws.std(0) / len(draws) ** 0.5
    assume(bool((error > 0).all()) or ratio == 0)
    assert ((draws.mean(0) - gradients.double().mean(0)).abs() <= 5 * error + 1e-6).all()


@pytest.mark.parametrize("strategy", [InfoBatch, InfoBatchExact])
@given(epochs=st.integers(1, 300), delta=st.integers(1, 1000).map(lambda n: n / 1000))
def test_the_last_epochs_see_everything_with_weight_one(strategy, epochs, delta):
    strategy = started(strategy(delta=delta), 10, epochs)
    first = ceil(Fraction(str(delta)) * epochs)
    losses = torch.arange(10.0)
    assert strategy.plan_epoch(first - 1, losses).keep is not None
    for epoch in range(first, epochs):
        plan = strategy.plan_epoch(epoch, losses)
        assert plan.keep is None
        assert plan.weight is None


@given(samples=st.integers(1, 300), share=st.floats(0.001, 1), seed=st.integers(0, 2**31))
def test_a_fixed_subset_has_its_size_and_never_changes(samples, share, seed):
    first, again = (started(FixedSubset(share), samples, seed=seed) for _ in range(2))
    keeps = [one.plan_epoch(epoch, torch.rand(samples)).keep for one in (first, again) for epoch in range(3)]
    assert all(torch.equal(keep, keeps[0]) for keep in keeps)
    assert keeps[0].sum() == max(1, int(share * samples + 1e-9))
    assert first.evidence()["pruned_share"] == pytest.approx(1 - keeps[0].double().mean().item())


def test_fixed_subsets_of_different_seeds_differ():
    one, other = (started(FixedSubset(0.5), 1000, seed=seed).plan_epoch(0, torch.rand(1000)).keep for seed in (0, 1))
    assert 400 < (one == other).sum() < 600


def test_orderdp_visits_each_rank_as_often_as_its_paper_says():
    """The j-th hardest of n is in the pool of s, and less than q of the j - 1 harder ones are with it."""
    samples, drawn, top, epochs = 20, 10, 6, 4000
    strategy = started(OrderDP(pool=0.5, top=0.6), samples)
    hardest_first = torch.arange(samples, 0, -1.0)
    keeps = torch.stack([strategy.plan_epoch(1, hardest_first).keep for _ in range(epochs)]).double()
    assert (keeps.sum(1) == top).all()
    expected = torch.tensor(
        [drawn / samples * hypergeom(samples - 1, rank, drawn - 1).cdf(top - 1) for rank in range(samples)]
    )
    error = (expected * (1 - expected) / epochs).sqrt()
    assert ((keeps.mean(0) - expected).abs() <= 5 * error).all()


@given(losses=LOSSES, top=st.floats(0.01, 1))
def test_orderdp_of_the_whole_pool_takes_the_hardest_and_the_unseen_first(losses, top):
    losses = torch.from_numpy(losses)
    strategy = started(OrderDP(pool=1.0, top=top), len(losses))
    keep = strategy.plan_epoch(1, losses).keep
    assert torch.equal(losses[keep].sort().values, losses.sort().values[-int(keep.sum()) :])
    assert keep.sum() == max(1, int(round(top * len(losses), 9)))
    assert strategy.evidence()["pruned_share"] == pytest.approx(1 - keep.double().mean().item())


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 99), groups=st.integers(1, 6), window=st.floats(0.1, 1), epoch=st.integers(1, 20))
def test_seta_visits_the_clusters_in_its_window(seed, groups, window, epoch):
    losses = torch.rand(60, generator=torch.Generator().manual_seed(seed))
    means = KMeans(groups, random_state=0).fit(losses.double().numpy()[:, None])
    rank = torch.from_numpy(means.cluster_centers_[:, 0].argsort().argsort()[means.labels_])
    width = max(1, round(groups * window))
    first = epoch % (groups - width + 1)
    strategy = started(SeTa(prune_ratio=0.0, groups=groups, window=window, delta=1.0), 60, epochs=21)
    assert strategy.plan_epoch(0, losses).keep.all(), "the first epoch takes all clusters"
    keep = strategy.plan_epoch(epoch, losses).keep
    assert torch.equal(keep, (first <= rank) & (rank < first + width))


def test_seta_draws_anew_each_epoch_keeps_the_unseen_it_draws_and_anneals_partially():
    losses = torch.cat([torch.full((100,), INF), torch.rand(100)])
    strategy = started(SeTa(prune_ratio=0.3, groups=4, window=0.5, delta=0.5), 200)
    windowed = torch.stack([strategy.plan_epoch(1, losses).keep for _ in range(400)]).double()
    assert (windowed[:, :100].mean(0) - 0.7).abs().max() < 5 * (0.21 / 400) ** 0.5
    assert windowed[:, 100:].mean() < 0.6
    annealed = torch.stack([strategy.plan_epoch(4, losses).keep for _ in range(400)]).double()
    assert (annealed.sum(1) == 140).all()
    assert (annealed.mean(0) - 0.7).abs().max() < 5 * (0.21 / 400) ** 0.5


@pytest.mark.parametrize("losses", [torch.zeros(40), torch.full((40,), INF), torch.arange(40.0) // 20])
def test_losses_that_hardly_differ_make_fewer_clusters(losses):
    keep = started(SeTa(groups=5, window=0.9, prune_ratio=0.0), 40).plan_epoch(1, losses).keep
    assert keep.any()


def same(one, other):
    return all(
        (a is None and b is None) or torch.equal(a, b)
        for a, b in zip(vars(one).values(), vars(other).values(), strict=True)
    )


@pytest.mark.parametrize("name", SELECTING)
def test_all_ranks_plan_the_same_and_a_resumed_one_goes_on_so(name):
    losses = torch.rand(200, generator=torch.Generator().manual_seed(1))
    one, other = started(SELECTING[name](), 200), started(SELECTING[name](), 200)
    torch.manual_seed(7)  # whatever else draws in one of them
    plans = []
    for epoch in range(4):
        plans.append(one.plan_epoch(epoch, losses))
        torch.rand(epoch)
        assert same(plans[-1], other.plan_epoch(epoch, losses))
        if epoch == 1:
            buffer = io.BytesIO()
            torch.save(one.state_dict(), buffer)
            evidence = one.evidence()
    assert not same(plans[2], plans[3])
    resumed = started(SELECTING[name](), 200)
    resumed.load_state_dict(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
    assert resumed.evidence() == evidence
    assert same(resumed.plan_epoch(2, losses), plans[2])
    assert not same(started(SELECTING[name](), 200, seed=1).plan_epoch(2, losses), plans[2])


@pytest.mark.parametrize("name", SELECTING)
def test_what_an_epoch_says_it_left_out_was_not_trained_on(digits, name):
    trainer = tiny.trainer(digits, tiny.spec(name, recipe={"epochs": 4}))
    trainer.run()
    assert [row["samples"] for row in trainer.history.rows] == [
        pytest.approx(300 * (1 - row["pruned_share"])) for row in trainer.history.rows
    ]
    assert trainer.ledger.samples_backpropagated == sum(row["samples"] for row in trainer.history.rows) < 4 * 300


@pytest.mark.parametrize("name", SELECTING)
@pytest.mark.parametrize(
    ("losses", "message"),
    [
        (torch.tensor(0.7), "the losses to select samples by are a single number, but one for each of 300 samples"),
        (torch.rand(300, 2), r"of shape \(300, 2\), but one for each"),
        (
            torch.rand(32),
            r"of shape \(32,\), but one for each of 300 samples is needed; compute the loss with reduction=",
        ),
    ],
)
def test_losses_that_are_not_one_per_sample_are_refused(name, losses, message):
    with pytest.raises(FrugalError, match=message) as error:
        started(SELECTING[name](), 300).plan_epoch(1, losses)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("strategy", "wrong", "line"),
    [
        ("infobatch", {"prune_ratio": 1.0}, "prune_ratio is 1.0; input should be less than 1"),
        ("infobatch", {"prune_ratio": -0.1}, "prune_ratio is -0.1; input should be greater than or equal to 0"),
        ("infobatch", {"delta": 0}, "delta is 0; input should be greater than 0"),
        ("infobatch", {"delta": 1.5}, "delta is 1.5; input should be less than or equal to 1"),
        ("infobatch-exact", {"prune_ratio": 0.8}, "prune_ratio is 0.8; input should be less than or equal to 0.75"),
        ("orderdp", {"top": 0}, "top is 0; input should be greater than 0"),
        ("seta", {"groups": 0}, "groups is 0; input should be greater than or equal to 1"),
    ],
)
def test_parameters_out_of_range_are_refused_before_any_job(tmp_path, strategy, wrong, line):
    (tmp_path / "studies").mkdir()
    for file in ("config.yaml", "datasets.yaml", "models.yaml"):
        (tmp_path / file).write_text((CONFIG / file).read_text())
    study = yaml.safe_load((CONFIG / "studies/infobatch.yaml").read_text())
    study["strategies"][strategy].update(wrong)
    (tmp_path / "studies/infobatch.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    with pytest.raises(FrugalError) as error:
        Plan({**yaml.safe_load((tmp_path / "config.yaml").read_text()), "studies": ["infobatch"]}, tmp_path)
    assert f"strategies.{strategy}: {line}" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_epoch_that_leaves_less_than_a_batch_is_refused(digits):
    with pytest.raises(
        FrugalError, match="leaves at most 15 of 300 training samples in an epoch, less than one batch of 32"
    ):
        tiny.trainer(digits, tiny.spec("orderdp", pool=0.1, top=0.5)).run()


def test_the_control_visits_as_many_samples_and_weighs_none(digits):
    pruned = tiny.trainer(digits, tiny.spec("infobatch", recipe={"epochs": 4}, prune_ratio=0.6, delta=0.7))
    pruned.run()
    assert pruned.ledger.samples_forwarded < 4 * 300
    assert pruned.history.rows[-1]["samples"] == 300  # the last epoch is annealed
    followed = [{"samples": float(row["samples"])} for row in pruned.history.rows]
    control = tiny.trainer(digits, tiny.spec("random_subset", recipe={"epochs": 4}), followed=followed)
    control.run()
    assert [row["samples"] for row in control.history.rows] == [row["samples"] for row in pruned.history.rows]
    assert control.ledger.flops_executed == pruned.ledger.flops_executed
    assert [row["train_loss"] for row in control.history.rows[1:]] != [
        row["train_loss"] for row in pruned.history.rows[1:]
    ]


@pytest.mark.parametrize("control", [RandomSubset, EqualCost])
def test_a_control_without_a_run_to_follow_is_refused(control):
    with pytest.raises(FrugalError, match="name that strategy with `follows:`"):
        started(control(), 10)
