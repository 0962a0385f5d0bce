"""float16 scales the loss, skips the steps whose gradients overflow, says so, and is refused where torch has no code for it."""

import pytest
import torch
from torch import nn

import kinds
import tiny
from frugal.errors import FrugalError
from frugal.training.forward import check_float16
from frugal.training.writer import manifest, metrics

CPU = torch.device("cpu")


def trained(cache, scale, use="full", **parameters):
    trainer = tiny.trainer(cache, tiny.spec(use, recipe={"precision": "float16", "grad_clip": 1.0}, **parameters))
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    return trainer


def test_a_step_that_overflows_leaves_the_weights_and_is_counted(digits):
    trainer = trained(digits, 2.0**28)
    before = [value.detach().clone() for value in trainer.model.parameters()]
    seen = []
    trainer.strategy.before_step = lambda t: seen.append(max(p.grad.abs().max().item() for p in t.model.parameters()))
    trainer.strategy.after_step = lambda t: seen.append([p.detach().clone() for p in t.model.parameters()])
    trainer.run()
    assert seen[0] == 0
    assert all(torch.equal(*pair) for pair in zip(before, seen[1], strict=True))
    skipped = sum(one == 0 for one in seen[::2])
    assert skipped == trainer.ledger.skipped_steps == metrics(trainer, "")["skipped_steps"] >= 1
    assert trainer.ledger.uncounted_steps == 0
    assert 0 < max(seen[::2]) < 100, "gradients as they are without the scale"
    notes = manifest(trainer, "", {}, {}, [])["notes"]
    told = f"precision float16: {skipped} of {trainer.ledger.steps} steps were skipped, since a gradient overflowed; the loss was"
    assert any(note.startswith(told) for note in notes)


def test_without_overflow_it_trains_as_in_float32(digits):
    narrow, whole = trained(digits, 1024.0), tiny.trainer(digits, tiny.spec(recipe={"grad_clip": 1.0}))
    narrow.run()
    whole.run()
    assert narrow.ledger == whole.ledger
    assert narrow.ledger.skipped_steps == 0
    assert narrow.history.rows[-1]["train_loss"] == pytest.approx(whole.history.rows[-1]["train_loss"], rel=0.1)


def test_what_torch_or_a_strategy_cant_do_in_float16_is_refused(digits, tmp_path):
    class Recurrent(nn.LSTM):
        def forward(self, inputs):
            raise RuntimeError("could not create a primitive\nmore")

    with pytest.raises(
        FrugalError, match=r"can't train this model on cpu \(could not create a primitive\); choose bfloat16"
    ):
        check_float16(Recurrent(4, 4), (2, 3, 4), 4, CPU, torch.float32)
    says = "rigl compares gradients .*, and recipe.precision is float16, which scales them"
    with pytest.raises(FrugalError, match=says):
        trained(digits, 1, "rigl")
    scale = {"datasets": ["digits"], "models": ["cnn-tiny"]}
    scale["recipe"] = {"epochs": 1, "batch_size": 8, "learning_rate": 0.1, "precision": "float16"}
    with pytest.raises(FrugalError, match=says):
        kinds.plan_of(tmp_path, scale, {"full": {"use": "full"}, "other": {"use": "rigl"}})
