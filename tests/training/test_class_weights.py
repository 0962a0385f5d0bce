"""Weights of classes act on the steps and on nothing else: what is told of losses, and what strategies see, is without them."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

import kinds
import tiny
from frugal.errors import FrugalError
from frugal.training.setup import weights_of_classes

LABELS = torch.tensor([0] * 5 + [1] * 3 + [3] * 2)


def test_balanced_is_scikit_learns_and_a_list_is_scaled_to_a_mean_of_one():
    weights, _ = weights_of_classes("balanced", LABELS, 4)
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=LABELS.numpy())
    assert weights[[0, 1, 3]].tolist() == pytest.approx(expected.tolist())
    weights, notes = weights_of_classes([1, 2, 9, 3], LABELS, 4)
    assert weights[LABELS].mean().item() == pytest.approx(1)
    assert (weights / weights[0]).tolist() == pytest.approx([1, 2, 9, 3])
    assert notes[0].startswith("class_weights as listed: 0.5882, 1.176")
    assert weights_of_classes(None, LABELS, 4) == (None, [])


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_follows_the_weighted_loss_and_tells_the_plain_one(digits, accumulate):
    given = [float(place + 1) for place in range(10)]
    recipe = {"class_weights": given, "momentum": 0, "accumulate": accumulate, "label_smoothing": 0.1}
    model = {"name": "cnn_fc", "use": "cnn_fc", "parameters": {"channels": [4, 8], "hidden": 16}}
    trainer = tiny.trainer(digits, tiny.spec(recipe=recipe, model=model))
    before = [value.detach().clone() for value in trainer.model.parameters()]
    trainer.strategy.after_step = lambda t: setattr(t.strategy, "length", lambda planned, training: 1e-9)  # one step
    trainer.train_epoch()
    samples, rate = trainer.batches.order[:32], trainer.rate
    inputs, labels = trainer.train_data.read(samples), trainer.train_data.labels[samples]
    after = [value.detach().clone() for value in trainer.model.parameters()]
    with torch.no_grad():
        for value, was in zip(trainer.model.parameters(), before, strict=True):
            value.copy_(was)
    losses = functional.cross_entropy(trainer.model(inputs), labels, reduction="none", label_smoothing=0.1)
    weights = torch.tensor(given)[labels] / torch.tensor(given)[trainer.train_data.labels].mean()
    gradients = torch.autograd.grad((losses * weights).mean(), list(trainer.model.parameters()))
    torch.testing.assert_close(trainer.losses[samples], losses.detach())
    torch.testing.assert_close(after, [was - rate * one for was, one in zip(before, gradients, strict=True)])


def test_weights_of_other_classes_are_refused_before_any_job(digits, tmp_path):
    says = "recipe.class_weights lists 3 weights, and digits has 10 classes; give one of each"
    with pytest.raises(FrugalError, match=says):
        tiny.trainer(digits, tiny.spec(recipe={"class_weights": [1, 2, 3]}))
    scale = {"datasets": ["digits"], "models": ["cnn-tiny"]}
    scale["recipe"] = {"epochs": 1, "batch_size": 8, "learning_rate": 0.1, "class_weights": [1, 2, 3]}
    with pytest.raises(FrugalError, match=says):
        kinds.plan_of(tmp_path, scale)
