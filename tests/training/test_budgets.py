"""Trainings that end within an epoch, and controls that spend exactly what another run spent."""

import os
import signal

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import tiny
from frugal.errors import FrugalError
from frugal.strategies.equal_cost import EqualCost
from frugal.training.signals import Interrupted
from frugal.unfit import Ground, why_unfit
from memory import Memory

STEPS = 9  # of an epoch over the 300 small digits in batches of 32


@pytest.fixture(scope="module")
def whole(digits):
    trainer = tiny.trainer(digits)
    trainer.run()
    return trainer


def control(digits, followed, cost, epochs=3):
    return tiny.trainer(digits, tiny.spec("equal_cost", recipe={"epochs": epochs}, cost=cost), followed=followed)


@pytest.mark.parametrize(("epochs", "rows", "steps"), [(0.5, 1, 5), (2.4, 3, 22), (3, 3, 27), (1.001, 1, 9)])
def test_a_training_ends_where_its_budget_does_and_its_schedule_with_it(digits, epochs, rows, steps):
    trainer = tiny.trainer(digits, tiny.spec(recipe={"epochs": epochs}))
    rates = []
    trainer.strategy.after_step = lambda t: rates.append(t.rate)
    trainer.run()
    assert (len(trainer.history.rows), trainer.ledger.steps) == (rows, steps)
    assert trainer.position == pytest.approx(epochs, abs=0.51 / STEPS)
    assert trainer.progress > 1 - 0.75 / steps, "the schedule has come to its end"
    assert rates[-1] == min(rates[1:])
    assert trainer.ledger.samples_backpropagated == sum(row["samples"] for row in trainer.history.rows)


def test_a_whole_number_of_epochs_is_one_run_however_it_is_written(digits):
    counts = [{"samples": 100.0}] * 2
    whole, written = (tiny.spec("random_subset", recipe={"epochs": epochs}) for epochs in (2, 2.0))
    assert written.plan("") == whole.plan("")
    assert written.fingerprint("", {}) == whole.fingerprint("", {})
    trainer = tiny.trainer(digits, written, followed=counts)
    trainer.run()
    assert [row["samples"] for row in trainer.history.rows] == [100, 100]
    assert tiny.spec(recipe={"epochs": 2.5}).recipe.epochs == 2.5


def test_a_training_stopped_in_a_last_epoch_that_ends_early_goes_on_as_if_nothing_had_happened(digits):
    spec = tiny.spec(recipe={"epochs": 2.5})
    undisturbed = tiny.trainer(digits, spec)
    undisturbed.run()
    stopped = tiny.trainer(digits, spec, checkpoints=Memory(), checkpoint_seconds=1e9)
    stopped.strategy.after_step = lambda t: t.ledger.steps == 20 and os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Interrupted):
        stopped.run()
    continued = tiny.trainer(digits, spec, checkpoints=Memory(stopped.checkpoints.content))
    continued.run()
    rows = [[tiny.outcome(row) for row in trainer.history.rows] for trainer in (continued, undisturbed)]
    assert rows[0] == rows[1]
    done = tiny.trainer(digits, spec, checkpoints=Memory(continued.checkpoints.content))
    done.run()
    assert done.ledger.steps == undisturbed.ledger.steps, "a run that is done trains no more"


@settings(max_examples=8, deadline=None)
@given(share=st.floats(0.1, 1.6), cost=st.sampled_from(["flops_executed", "samples_backpropagated", "bytes_read"]))
@example(share=0.6480361375037484, cost="flops_executed")  # 0.81 of a mean step
def test_a_control_of_equal_cost_spends_what_was_spent_to_half_a_step(digits, whole, share, cost):
    spent = {"flops_executed": whole.ledger.flops_executed, "samples": 900, "bytes_read": whole.ledger.bytes_read}
    rows = [{name: share * value for name, value in spent.items()}]
    trainer = control(digits, rows, cost)
    trainer.run()
    all_of_it = getattr(whole.ledger, cost)
    # Half a step, of which the last of an epoch may be half as large again, and what is left of it is told in whole steps.
    assert getattr(trainer.ledger, cost) == pytest.approx(share * all_of_it, abs=0.85 * all_of_it / (3 * STEPS))
    assert trainer.progress > 1 - 0.75 / trainer.ledger.steps, "the schedule has come to its end"
    assert trainer.history.rows[-1]["passes"] == trainer.position == pytest.approx(3 * share, abs=0.75 / STEPS)


def test_a_control_that_may_spend_as_much_as_the_baseline_is_the_baseline(digits, whole):
    trainer = control(digits, whole.history.rows, "flops_executed")
    trainer.run()
    assert torch.equal(torch.cat(trainer.history.curve), torch.cat(whole.history.curve))


def test_seconds_are_those_of_training_as_they_pass(digits, monkeypatch):
    trainer = control(digits, [{"train_seconds": 0.5}, {"train_seconds": 1.5}], "train_seconds")
    monkeypatch.setattr(trainer.clock, "so_far", lambda name: (0.1 * trainer.ledger.steps, 9.0))
    trainer.run()
    assert trainer.ledger.steps == 15
    assert len(trainer.history.rows) == 2


@pytest.mark.parametrize(("seconds", "least"), [(2.0, 15), (40.0, 300)])
def test_a_time_is_read_at_most_once_a_step_and_in_a_long_training_now_and_then(digits, monkeypatch, seconds, least):
    trainer, read = control(digits, [{"train_seconds": seconds}], "train_seconds", epochs=40), []

    def so_far(name):
        read.append(trainer.ledger.steps)
        steps = trainer.ledger.steps
        return (0.1 * steps + 0.5 * (steps > 0), 9.0)  # the first step sets things up

    monkeypatch.setattr(trainer.clock, "so_far", so_far)
    trainer.run()
    steps = trainer.ledger.steps
    assert steps >= least
    assert 0.1 * steps + 0.5 == pytest.approx(seconds, abs=0.06 + 0.01 * seconds)
    once = [step for step in read if step > 0]
    assert len(once) == len(set(once)) <= min(steps, 110)


def test_what_can_not_be_held_equal_is_refused(digits, whole):
    rows = [{name: value for name, value in row.items() if name != "flops_executed"} for row in whole.history.rows]
    with pytest.raises(FrugalError, match="doesn't tell its flops_executed; choose another cost"):
        control(digits, rows, "flops_executed")
    trainer = control(digits, whole.history.rows, "flops_executed")
    trainer.ledger.flops_scoring = None
    with pytest.raises(FrugalError, match="flops_executed of this net can't be counted; choose another cost"):
        trainer.run()
    ground = Ground("image", "classification", ("cnn", {}), devices=2, followed=("full", {}))
    assert "set devices: 1" in why_unfit("equal_cost", {"cost": "train_seconds"}, ground)
    assert why_unfit("equal_cost", {"cost": EqualCost.cost}, ground) is None
