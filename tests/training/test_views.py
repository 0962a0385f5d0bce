"""Accuracy over several views of each test image is the mean of their logits, beside the plain one and never in place of it."""

import pytest
import torch
from torch.nn import functional

import kinds
import tiny
from frugal.errors import FrugalError
from frugal.report.schema import Metrics
from frugal.training.tasks import averaged_logits
from frugal.training.writer import metrics


def model(images):
    """Anything that tells pixels apart."""
    weight = torch.arange(float(images[0].numel())).view(images.shape[1:])
    return torch.stack(((images * weight).sum((1, 2, 3)), (images.square() * weight).sum((1, 2, 3))), 1)


def test_views_are_those_that_one_makes_by_hand():
    images = torch.rand(3, 2, 4, 5)
    mirrored = torch.stack([images[..., column] for column in range(4, -1, -1)], 3)
    torch.testing.assert_close(averaged_logits(model, images, None), model(images))
    flips = (model(images) + model(mirrored)) / 2
    torch.testing.assert_close(averaged_logits(model, images, "flips"), flips)
    # Rows and columns that lie beyond the border are those just inside of it, its own left out.
    up_left = images[:, :, [1, 0, 1, 2]][..., [1, 0, 1, 2, 3]]
    down_right = images[:, :, [1, 2, 3, 2]][..., [1, 2, 3, 4, 3]]
    moved = sum(model(view) + model(view.flip(3)) for view in (up_left, down_right)) / 4
    torch.testing.assert_close(averaged_logits(model, images, "flips_and_shifts"), (flips + moved) / 2)


@pytest.mark.parametrize("views", ["flips", "flips_and_shifts"])
def test_it_stands_beside_the_plain_accuracy(digits, views):
    plain, more = (tiny.trainer(digits, tiny.spec(recipe={"test_time": asked})) for asked in (None, views))
    for trainer in (plain, more):
        trainer.run()
    without, told = metrics(plain, "f"), metrics(more, "f")
    assert without["test_accuracy_flips"] is None
    assert told["test_accuracy"] == without["test_accuracy"]
    test = more.open("test")
    logits = averaged_logits(more.model.eval(), test.read(torch.arange(len(test))), views)
    assert told["test_accuracy_flips"] == (logits.argmax(1) == test.labels).double().mean().item()
    assert told["inference_seconds"] == more.clock.seconds["inference"]
    Metrics.model_validate(told)


@pytest.mark.parametrize(("views", "number"), [("flips", 2), ("flips_and_shifts", 6)])
def test_no_view_is_computed_twice(digits, views, number):
    trainer = tiny.trainer(digits, tiny.spec(recipe={"test_time": views}))
    trainer.run()
    seen = []
    trainer.model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    metrics(trainer, "f")
    assert sum(seen) == number * len(trainer.open("test"))


def test_what_is_no_image_has_no_views(tmp_path):
    recipe = {"epochs": 1, "batch_size": 8, "learning_rate": 0.1, "test_time": "flips"}
    says = "recipe.test_time mirrors images, and .* (holds none|is table); leave it out"
    with pytest.raises(FrugalError, match=says):
        kinds.plan_of(tmp_path, {"datasets": ["breast-cancer"], "models": ["mlp"], "recipe": recipe})
    with pytest.raises(FrugalError, match=says):
        tiny.trainer(kinds.cache("table", tmp_path / "table"), kinds.spec("table", recipe={"test_time": "flips"}))


def test_reflection_is_torchs():
    images = torch.rand(1, 1, 4, 5)
    wide = functional.pad(images, [1] * 4, mode="reflect")
    assert torch.equal(wide[:, :, :4, :5], images[:, :, [1, 0, 1, 2]][..., [1, 0, 1, 2, 3]])


def test_evaluating_less_often_changes_nothing_but_the_history(digits):
    runs = []
    for keys in ({}, {"evaluate_every": 2}):
        runs.append(tiny.trainer(digits, tiny.spec(recipe={"epochs": 4.5, **keys})))
        runs[-1].run()
    each, second = (run.history.rows for run in runs)
    assert [row["val_accuracy"] is not None for row in second] == [False, True, False, True, True]
    known = [row for row in second if row["val_accuracy"] is not None]
    assert [(row["val_loss"], row["val_f1"]) for row in known] == [
        (each[i]["val_loss"], each[i]["val_f1"]) for i in (1, 3, 4)
    ]
    assert all(torch.equal(*pair) for pair in zip(*(run.model.parameters() for run in runs), strict=True))
    figures = Metrics.model_validate(metrics(runs[1], "f"))
    assert figures.best_val_accuracy == max(row["val_accuracy"] for row in known)


def test_early_stopping_needs_every_validation():
    with pytest.raises(ValueError, match="leave evaluate_every out"):
        tiny.spec(recipe={"evaluate_every": 2, "early_stopping": 3})
