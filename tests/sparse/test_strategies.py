"""The strategies sparse, rigl and narrow in whole runs."""

import os
import signal

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tiny
from frugal.errors import FrugalError
from frugal.measure.weights import weights_of
from frugal.training.signals import Interrupted
from frugal.training.writer import metrics
from memory import Memory

RUNS = {
    "random": tiny.spec("sparse", recipe={"optimizer": "adam", "learning_rate": 0.01}),
    "block": tiny.spec("sparse", pattern="block-8x8", kernel="sparse"),
    "rigl": tiny.spec("rigl", recipe={"optimizer": "adam", "learning_rate": 0.01}, sparsity=0.7, every=3),
    "rigl-block": tiny.spec("rigl", pattern="block-4x4", sparsity=0.5, every=2, until=1.0),
    "narrow": tiny.spec("narrow", match=0.5),
}
UNDISTURBED = {}
FEW = settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def stopped_after(digits, run, step):
    trainer = tiny.trainer(digits, run, checkpoints=Memory(), checkpoint_seconds=1e9)
    after_step = trainer.strategy.after_step
    trainer.strategy.after_step = lambda t: (
        after_step(t) or (t.ledger.steps == step and os.kill(os.getpid(), signal.SIGTERM))
    )
    with pytest.raises(Interrupted):
        trainer.run()
    return trainer.checkpoints.content


@pytest.mark.parametrize("name", RUNS)
@FEW
@given(data=st.data())
def test_a_run_continued_from_any_step_is_the_undisturbed_run(digits, name, data):
    if name not in UNDISTURBED:
        UNDISTURBED[name] = tiny.trainer(digits, RUNS[name])
        UNDISTURBED[name].run()
    undisturbed = UNDISTURBED[name]
    content = stopped_after(digits, RUNS[name], data.draw(st.integers(1, undisturbed.ledger.steps - 1)))
    with pytest.MonkeyPatch.context() as patch:
        # A resumed run must not measure again: another process may come to another choice, and so to other sums.
        patch.setattr("frugal.sparse.layers.choose", lambda *_: pytest.fail("a kernel was chosen again"))
        continued = tiny.trainer(digits, RUNS[name], checkpoints=Memory(content))
        continued.run()
    continued.ledger.resumes = 0
    assert continued.ledger == undisturbed.ledger
    assert tiny.outcome(metrics(continued, "")) == tiny.outcome(metrics(undisturbed, ""))
    assert torch.equal(torch.cat(continued.history.curve), torch.cat(undisturbed.history.curve))
    theirs = undisturbed.model.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in continued.model.state_dict().items())
    assert continued.strategy.notes == undisturbed.strategy.notes


@pytest.mark.parametrize("use", ["sparse", "rigl"])
def test_a_run_keeps_the_asked_share_says_what_is_dense_and_learns(digits, use):
    trainer = tiny.trainer(digits, tiny.spec(use, recipe={"epochs": 6, "learning_rate": 0.1}, sparsity=0.5))
    trainer.run()
    kept = 8 * 16 * 9 // 2
    assert trainer.history.rows[-1]["kept_weights"] == kept
    assert trainer.history.rows[-1]["sparsity"] == 0.5
    assert weights_of(trainer.model).parameters - weights_of(trainer.model).live == kept
    figures, weights = metrics(trainer, ""), weights_of(trainer.model)
    assert figures["optimizer_bytes"] == 4 * weights.live, "momentum of the kept weights alone"
    assert figures["model_bytes"] == weights.bytes
    assert trainer.strategy.notes[0].startswith("sparse: 4; dense: 0 (first-conv), 9 (head)")
    assert trainer.strategy.notes[1].startswith("4: kernel ")
    assert trainer.history.rows[-1]["val_accuracy"] > 0.5


def test_the_same_seed_draws_the_same_pattern_and_another_one_another(digits):
    one, same, other = (tiny.trainer(digits, tiny.spec("sparse", seed=seed)).model[4].index for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_checkpoint_of_another_pattern_is_refused(digits):
    content = stopped_after(digits, RUNS["random"], 3)
    with pytest.raises(FrugalError, match="the checkpoint is of another pattern"):
        tiny.trainer(digits, RUNS["block"], checkpoints=Memory(content)).run()


@pytest.mark.parametrize("match", [0.3, 0.5, 0.9])
def test_the_narrow_net_has_the_parameters_of_the_sparse_one(digits, match):
    model = {"name": "cnn", "use": "cnn", "parameters": {"channels": [16, 32, 64]}}
    sparse, narrow, full = (
        tiny.trainer(digits, tiny.spec(use, **parameters).model_copy(update={"model": tiny_model(model)}))
        for use, parameters in (("sparse", {"sparsity": match}), ("narrow", {"match": match}), ("full", {}))
    )
    wanted, found = weights_of(sparse.model).live, weights_of(narrow.model).live
    assert abs(found - wanted) < 0.05 * wanted
    assert found < weights_of(full.model).live
    assert f"{wanted:,}" in narrow.strategy.notes[0]
    narrow.run()


def tiny_model(model):
    return type(tiny.spec().model).model_validate(model)


@pytest.mark.parametrize(("use", "options"), [("sparse", {}), ("rigl", {}), ("narrow", {"match": 0.5})])
def test_a_net_with_nothing_to_make_sparse_is_refused_by_its_name_in_the_config(digits, use, options):
    with pytest.raises(FrugalError, match="^model cnn: no layer is left to be sparse: .*; skip fewer of them"):
        tiny.trainer(digits, tiny.spec(use, skip=["*"], **options))
