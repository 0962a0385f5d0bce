"""Scores of samples are what their papers define, whoever uses them keeps what he says, and pays for the run that made them."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

import tiny
from frugal.costs import spent
from frugal.errors import FrugalError
from frugal.measure.ledger import Ledger
from frugal.strategies.base import Run
from frugal.strategies.error_norm import el2n, grand
from frugal.strategies.forgetting import Forgetting
from frugal.strategies.held_out_loss import HeldOutLoss
from frugal.strategies.proxy_filter import ProxyFilter
from frugal.strategies.rho import Rho
from frugal.strategies.static_scores import StaticScores, coverage_centric
from frugal.training.writer import metrics

CPU = torch.device("cpu")
COUNTS = ("flops_executed", "samples_forwarded", "samples_backpropagated", "bytes_read", "bytes_raw")


def trained(digits, run, **given):
    trainer = tiny.trainer(digits, run, **given)
    trainer.run()
    return trainer


def started(strategy, scores, samples=None, epochs=3, **more):
    table = torch.as_tensor(scores, dtype=torch.float32)
    table = table[:, None] if table.dim() == 1 else table
    strategy.start(Run(samples or len(table), epochs, 3, CPU, scores=table, **more))
    return strategy


# ---- the scores


def test_el2n_and_grand_are_what_the_paper_defines():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))
    images, labels = torch.randn(7, 1, 2, 3), torch.tensor([0, 1, 2, 0, 1, 2, 0])
    for image, label, error, gradient in zip(
        images, labels, el2n(net)(images, labels), grand(net)(images, labels), strict=True
    ):
        net.zero_grad()
        logits = net(image[None])[0]
        chances = logits.exp() / logits.exp().sum()
        (-chances[label].log()).backward()
        wanted = sum((chances[k] - (k == label).float()) ** 2 for k in range(3)).sqrt()
        torch.testing.assert_close(error, wanted.detach())
        whole = torch.cat([weight.grad.flatten() for weight in net.parameters()])
        torch.testing.assert_close(gradient, whole.norm())


@pytest.mark.parametrize("score", ["el2n", "grand"])
@pytest.mark.parametrize("passes", [0, 1])
def test_a_scoring_run_scores_every_sample_with_the_net_it_says_and_counts_the_passes(digits, score, passes):
    made = trained(digits, tiny.spec("error_norm", score=score, passes=passes))
    net = made.model
    if passes == 0:
        net = tiny.trainer(digits, tiny.spec("error_norm", score=score, passes=passes)).model
        assert made.ledger.steps == 1
    data = made.open("train")
    norms = {"el2n": el2n, "grand": grand}[score](net.eval())
    wanted = norms(data.read(torch.arange(300)), data.labels)
    torch.testing.assert_close(made.strategy.sample_scores(), wanted, rtol=1e-3, atol=1e-5)
    each = made.flops_at(8)
    backward = score == "grand"
    assert made.ledger.flops_scoring == 300 * (each.forward + backward * each.backward)
    visits = made.history.rows[-1]["samples"]
    figures = metrics(made, "")
    assert figures["samples_forwarded"] == visits + 300
    assert figures["samples_backpropagated"] == visits + 300 * backward
    assert figures["bytes_read"] == (visits + 300) * 64 == sum(row["bytes_read"] for row in made.history.rows)


class Answers:
    """A training of which a strategy sees only what was answered. events: of each step, samples and whether it was right."""

    ended, position = True, 4.0

    def __init__(self, samples, right):
        self.answered = torch.tensor(samples), torch.tensor(right)


def test_forgetting_events_are_counted_between_two_visits_of_a_sample():
    strategy = Forgetting()
    strategy.start(Run(4, 4, 0, CPU))
    # Sample 0 is right, wrong, right, wrong: two events; 1 wrong, right, right, right: none; 2 never right; 3 once forgotten.
    for samples, right in (
        ([0, 1], [True, False]),
        ([2, 3], [False, True]),
        ([3, 0], [True, False]),
        ([1, 2], [True, False]),
        ([0, 1, 2, 3], [True, True, False, False]),
        ([0, 1, 2, 3], [False, True, False, False]),
    ):
        strategy.after_step(Answers(samples, right))
    strategy.after_epoch(Answers([], []))
    assert strategy.sample_scores().tolist() == [2, 0, 5, 1], (
        "one that was never right has more than any count can reach"
    )


def test_a_proxy_is_narrower_and_leaves_the_losses_of_every_epoch(digits):
    made, whole = trained(digits, tiny.spec("proxy", width=0.5)), trained(digits, tiny.spec("full"))
    assert made.strategy.chosen["channels"] == [4, 8]
    assert made.ledger.flops_executed < whole.ledger.flops_executed / 2
    scores = made.strategy.sample_scores()
    assert scores.shape == (300, 3)
    for epoch, row in enumerate(made.history.rows):
        assert scores[:, epoch].mean().item() == pytest.approx(row["train_loss"], rel=1e-4)


def test_no_sample_is_scored_by_a_net_that_trained_on_it(digits):
    first = trained(digits, tiny.spec("held_out_loss"))
    second = trained(digits, tiny.spec("held_out_loss", half="second"), **tiny.following(first))
    own, theirs = (made.losses.isfinite() for made in (first, second))
    assert torch.equal(own, ~theirs), "each trained on one half"
    assert torch.equal(first.strategy.sample_scores().isfinite(), ~own)
    both = second.strategy.sample_scores()
    assert both.isfinite().all()
    assert torch.equal(both[~own], first.strategy.sample_scores()[~own])
    data = second.open("train")
    losses = functional.cross_entropy(second.model.eval()(data.read(torch.arange(300))), data.labels, reduction="none")
    torch.testing.assert_close(both[own], losses[own].detach(), rtol=1e-3, atol=1e-5)
    with pytest.raises(FrugalError, match="half second adds to the scores of a run on the first half"):
        started(HeldOutLoss(half="second"), torch.zeros(300))


# ---- who uses them


@given(
    scores=st.lists(st.integers(0, 9), min_size=4, max_size=60),
    share=st.floats(0.05, 0.9),
    keep=st.sampled_from(["hardest", "easiest", "middle", "ccs"]),
)
def test_the_kept_share_is_exact_and_the_one_that_was_asked_for(scores, share, keep):
    strategy = started(StaticScores(share, keep), scores)
    kept = strategy.plan_epoch(0, torch.zeros(len(scores))).keep
    count = strategy.most_visited()
    assert kept.sum() == count == max(1, int(round(share * len(scores), 9)))
    assert torch.equal(kept, strategy.plan_epoch(2, torch.zeros(len(scores))).keep)
    ordered, mine = sorted(scores), sorted(torch.tensor(scores)[kept].tolist())
    below = (len(scores) - count) // 2
    if keep != "ccs":
        assert (
            mine
            == {
                "hardest": ordered[len(ordered) - count :],
                "easiest": ordered[:count],
                "middle": ordered[below : below + count],
            }[keep]
        )


def test_coverage_centric_takes_of_small_strata_all_and_of_large_ones_alike():
    scores = torch.tensor([0.0] * 50 + [0.5] * 3 + [1.0] * 20)  # strata of 50, 3 and 20 samples
    chosen = coverage_centric(scores, torch.arange(73), 23, 3, torch.Generator().manual_seed(0))
    assert len(chosen.unique()) == 23
    assert [int((scores[chosen] == value).sum()) for value in (0.0, 0.5, 1.0)] == [10, 3, 10]


def test_ccs_leaves_out_the_hardest_and_covers_the_rest():
    kept = started(StaticScores(0.5, "ccs", cutoff=0.2), range(100)).kept
    assert not kept[80:].any()
    assert kept[:20].sum() > 5, "the easy ones are covered too"
    with pytest.raises(FrugalError, match="can't exceed 1 together"):
        StaticScores(0.95, "ccs")


def test_a_proxy_filter_takes_the_hardest_of_the_same_stage():
    table = torch.stack([torch.arange(8.0), -torch.arange(8.0)], 1)  # two epochs of the small net
    strategy = started(ProxyFilter(0.25), table, epochs=4)
    plans = [strategy.plan_epoch(epoch, torch.zeros(8)).keep.nonzero().squeeze(1).tolist() for epoch in range(4)]
    assert plans == [[6, 7], [6, 7], [0, 1], [0, 1]]


def test_rho_trains_on_the_highest_reducible_losses():
    strategy = started(Rho(pool=2), [0.0, 0.0, 5.0, 0.0])
    logits = torch.tensor([[0.0, 3.0], [4.0, 0.0], [0.0, 6.0], [0.0, 0.0]])  # losses 3.05, 0.02, 6, 0.69 with label 0
    chosen = strategy.select_from(torch.tensor([1, 0, 2, 3]), logits, torch.zeros(4, dtype=torch.long))
    assert sorted(chosen.tolist()) == [0, 2], "6 - 5 is more than 0.69 and 0.02"
    strategy = started(Rho(pool=2), [0.0, 0.0, 5.9, 0.0])
    assert sorted(strategy.select_from(torch.tensor([1, 0, 2, 3]), logits, torch.zeros(4).long()).tolist()) == [0, 3]


@pytest.mark.parametrize("make", [StaticScores, ProxyFilter, lambda: Rho(2)])
def test_without_a_score_for_every_sample_nothing_is_chosen(make):
    with pytest.raises(FrugalError, match="name a strategy that makes them"):
        make().start(Run(4, 3, 0, CPU))
    with pytest.raises(FrugalError, match="2 of 4 samples have no score"):
        started(make(), [1.0, float("nan"), 2.0, float("nan")])


# ---- who pays


def test_who_uses_scores_is_charged_with_all_that_they_cost(digits):
    leader = trained(digits, tiny.spec("error_norm"))
    given, theirs = tiny.following(leader), metrics(leader, "")
    mine = trained(digits, tiny.spec("static_scores", share=0.4), **given)
    own = trained(digits, tiny.spec("fixed_subset", share=0.4))  # the same work, for nothing
    paid, free = metrics(mine, ""), metrics(own, "")
    for name in COUNTS:
        assert paid[name] == free[name] + theirs[name] > free[name]
    assert paid["charged_flops"] == theirs["flops_executed"] == mine.ledger.charged_flops
    assert free["charged_flops"] == free["charged_train_seconds"] == 0
    for name in ("train_seconds", "cpu_seconds"):
        seconds = mine.clock.seconds if name == "train_seconds" else mine.clock.cpu
        assert paid[name] == pytest.approx(seconds["train"] + theirs[name])
        assert mine.spent(name) >= paid[name] - 1e-6
    assert mine.history.rows[0]["flops_executed"] > theirs["flops_executed"]
    for cost in ("flops_executed", "samples_backpropagated", "bytes_read"):
        assert spent(mine.history.rows, cost) == paid[cost] == mine.spent(cost)
    control = trained(digits, tiny.spec("equal_cost", recipe={"epochs": 9}), followed=mine.history.rows)
    step = 48 * (
        control.flops_at(8).forward + control.flops_at(8).backward
    )  # the last batch of an epoch may be as large
    assert control.ledger.flops_executed == pytest.approx(paid["flops_executed"], abs=step)


def test_each_of_two_scoring_runs_is_charged_once(digits):
    first = trained(digits, tiny.spec("held_out_loss"))
    second = trained(digits, tiny.spec("held_out_loss", half="second"), **tiny.following(first))
    mine = trained(digits, tiny.spec("rho", pool=2), **tiny.following(second))
    own = [made.ledger.flops_executed - made.ledger.charged_flops for made in (first, second, mine)]
    assert mine.ledger.flops_executed == sum(own)
    assert mine.ledger.samples_forwarded > mine.ledger.samples_backpropagated, "it forwards what it doesn't train on"


def test_flops_that_were_not_counted_can_not_be_charged(digits):
    given = tiny.following(trained(digits, tiny.spec("error_norm")))
    given["scoring"] = replace(given["scoring"], charge=replace(given["scoring"].charge, flops_executed=None))
    trainer = tiny.trainer(digits, tiny.spec("static_scores"), **given)
    assert trainer.ledger.flops_executed is None
    assert Ledger().flops_executed == 0


def test_scores_of_other_data_are_refused(digits):
    given = tiny.following(trained(digits, tiny.spec("error_norm")))
    given["scoring"] = replace(given["scoring"], scores=given["scoring"].scores[:200])
    with pytest.raises(FrugalError, match="scored 200 samples, and the training set has 300"):
        tiny.trainer(digits, tiny.spec("static_scores"), **given)
