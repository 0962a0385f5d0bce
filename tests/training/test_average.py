"""An average of the weights is what its formula says, is part of a checkpoint, and is never one of nothing."""

import pytest
import torch
from torch import nn

import kinds
import tiny
from frugal.errors import FrugalError
from frugal.measure.weights import optimizer_bytes
from frugal.recipe import Average as Wanted
from frugal.training.average import Average, averaged
from frugal.training.writer import metrics


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_every_so_many_steps_the_weights_are_set_to_their_average():
    model, steps, wanted = net(), 7, Wanted(every=3, decay=0.8, power=2)
    average = Average(model, wanted)
    slow = {name: value.clone() for name, value in averaged(model).items()}
    for step in range(1, steps + 1):
        for value in averaged(model).values():
            value.data.add_(torch.randn_like(value))  # stands for a step of the optimizer
        moved = {name: value.clone() for name, value in averaged(model).items()}
        average.after_step(model, step, step / steps)
        if step % 3 == 0:
            keep = 0.8 * (step / steps) ** 2
            slow = {name: keep * slow[name] + (1 - keep) * value for name, value in moved.items()}
        for name, value in averaged(model).items():
            torch.testing.assert_close(value, slow[name] if step % 3 == 0 else moved[name])
    average.finish(model)
    for name, value in averaged(model).items():
        torch.testing.assert_close(value, slow[name])  # step 7 is left out: it has not been taken in


def test_statistics_are_averaged_counters_are_not_and_a_tied_weight_once():
    model = net()
    model.append(nn.Linear(3, 4))
    model[2].weight = model[0].weight
    names = averaged(model).keys()
    assert {"1.running_mean", "1.running_var", "0.weight"} <= names
    assert not {"1.num_batches_tracked", "2.weight"} & names


RECIPE = {"average": {"every": 10, "decay": 0.6}}


def test_a_run_ends_as_its_average_and_counts_its_memory(digits):
    trainer = tiny.trainer(digits, tiny.spec(recipe=RECIPE))
    trainer.run()
    assert trainer.average.updates == trainer.ledger.steps // 10 == 2
    assert all(torch.equal(value, trainer.average.values[name]) for name, value in averaged(trainer.model).items())
    floats = sum(4 * value.numel() for value in averaged(trainer.model).values())
    assert metrics(trainer, "")["optimizer_bytes"] == optimizer_bytes(trainer.optimizer) + floats


def test_an_average_of_nothing_is_refused(digits, monkeypatch):
    with pytest.raises(
        FrugalError, match="average.every is 99, and the training takes 27 steps: nothing would be averaged"
    ):
        tiny.trainer(digits, tiny.spec(recipe={"average": {"every": 99}}))
    monkeypatch.setattr(
        "frugal.training.trainer.check_recipe", lambda *_: None
    )  # as where a strategy takes fewer steps
    with pytest.raises(FrugalError, match="the training ended before so many steps: there is no average"):
        tiny.trainer(digits, tiny.spec(recipe={"average": {"every": 99}})).run()


@pytest.mark.parametrize("use", ["rigl", "dynamic_pruning"])
def test_weights_that_come_and_go_have_no_average(digits, tmp_path, use):
    says = f"{use} changes which weights there are while it trains, so recipe.average has no meaning"
    with pytest.raises(FrugalError, match=says):
        tiny.trainer(digits, tiny.spec(use, recipe=RECIPE))
    scale = {
        "datasets": ["digits"],
        "models": ["cnn-tiny"],
        "recipe": {"epochs": 1, "batch_size": 8, "learning_rate": 0.1, **RECIPE},
    }
    with pytest.raises(FrugalError, match=says):
        kinds.plan_of(tmp_path, scale, {"full": {"use": "full"}, "moving": {"use": use}})
