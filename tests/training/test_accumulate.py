"""A batch taken in parts is the batch: same weights and losses up to rounding, same counts, less of it in the net at a time."""

import pytest
import torch

import kinds
import tiny
from frugal.errors import FrugalError
from frugal.strategies.base import Strategy
from frugal.training.writer import metrics

PLAIN = {"name": "cnn_fc", "use": "cnn_fc", "parameters": {"channels": [4, 8], "hidden": 16}}  # no batch statistics
STRATEGIES = {
    "full": {},
    "infobatch": {"prune_ratio": 0.5, "delta": 0.9},
    "gradient_norm": {"threshold": 0.5},
    "selective_backprop": {},
    "ast": {"scoring": "remembered", "controller": "quantile", "warmup": 0.3},
    "rigl": {"sparsity": 0.5, "every": 4, "kernel": "scatter"},
}


def trained(cache, use, given, **recipe):
    settings = {"augment": {"crop_padding": 1, "flip": True}, "grad_clip": 1.0, "learning_rate": 0.02, **recipe}
    trainer = tiny.trainer(cache, tiny.spec(use, recipe=settings, model=PLAIN, **given))
    seen, forward = [], trainer.model.forward
    trainer.model.forward = lambda inputs: seen.append(len(inputs) * torch.is_grad_enabled()) or forward(inputs)
    trainer.run()
    del trainer.model.forward
    return trainer, max(seen)


@pytest.mark.parametrize("use", STRATEGIES)
def test_parts_of_a_batch_add_up_to_it(digits, use):
    (whole, most), (parts, least) = (
        trained(digits, use, STRATEGIES[use], **recipe) for recipe in ({}, {"accumulate": 4})
    )
    assert parts.ledger == whole.ledger, "as many samples, steps, bytes and FLOPs"
    assert least <= most / 4 + 1
    torch.testing.assert_close(parts.losses, whole.losses, rtol=1e-3, atol=1e-3)
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(parts.model.state_dict()[name], value, rtol=1e-3, atol=1e-3)
    assert parts.history.rows[-1]["val_accuracy"] == whole.history.rows[-1]["val_accuracy"]
    assert metrics(parts, "")["flops_executed"] == metrics(whole, "")["flops_executed"]


def test_batch_normalisation_of_parts_stands_in_the_notes(digits):
    told = "accumulate 2: batch normalisation is over each of the 2 parts of a batch"
    assert told in tiny.trainer(digits, tiny.spec(recipe={"accumulate": 2})).notes
    assert told not in tiny.trainer(digits, tiny.spec(recipe={"accumulate": 2}, model=PLAIN)).notes


def test_what_needs_a_whole_batch_is_refused(digits, tmp_path):
    says = "ast masks the losses of whole batches, and recipe.accumulate takes them in parts"
    with pytest.raises(FrugalError, match=says):
        tiny.trainer(digits, tiny.spec("ast", recipe={"accumulate": 2}, scoring="masked"))
    scale = {"datasets": ["digits"], "models": ["cnn-tiny"]}
    scale["recipe"] = {"epochs": 1, "batch_size": 8, "learning_rate": 0.1, "accumulate": 2}
    with pytest.raises(FrugalError, match=says):
        kinds.plan_of(tmp_path, scale, {"full": {"use": "full"}, "mask": {"use": "ast", "scoring": "masked"}})
    masking = tiny.trainer(digits, tiny.spec(recipe={"accumulate": 2}))
    assert isinstance(masking.strategy, Strategy)
    masking.strategy.after_forward = lambda indices, logits, labels: torch.ones(len(labels))
    with pytest.raises(FrugalError, match="strategy full masks the losses of whole batches"):
        masking.run()
