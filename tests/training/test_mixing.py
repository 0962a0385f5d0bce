"""Mixed samples: the pixels and the loss of each are those that its shares say, and each counts for the one it is most of."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

import kinds
import tiny
from frugal.data.mixing import draw_mix, partners
from frugal.errors import FrugalError

ALPHAS = st.floats(0.1, 4)


@given(
    mixup=ALPHAS | st.none(),
    cutmix=ALPHAS | st.none(),
    high=st.integers(3, 9),
    wide=st.integers(3, 9),
    seed=st.integers(0, 999),
)
def test_every_pixel_is_of_the_two_images_in_their_shares(mixup, cutmix, high, wide, seed):
    if mixup is None and cutmix is None:
        return
    mix = draw_mix(mixup, cutmix, (high, wide), np.random.default_rng(seed))
    own = (
        torch.eye(4)[:, :, None, None].expand(4, 4, high, wide).contiguous()
    )  # image i is 1 in channel i, 0 in the others
    mixed = mix(own)
    of_each = mixed.mean((2, 3))
    assert 0.5 <= mix.share <= 1
    expected = mix.share * torch.eye(4) + (1 - mix.share) * partners(torch.eye(4))
    torch.testing.assert_close(of_each, expected)
    assert mix.box is None or mixed.unique().tolist() in ([0, 1], [0.0, 1.0]), "no pixel is of both"
    torch.testing.assert_close(mixed.sum(1), torch.ones(4, high, wide))


def test_shares_are_those_of_the_beta_distribution():
    draw = np.random.default_rng(0)
    shares = [draw_mix(0.4, None, (8, 8), draw).share for _ in range(4000)]
    drawn = np.random.default_rng(1).beta(0.4, 0.4, 4000)
    assert np.mean(shares) == pytest.approx(np.maximum(drawn, 1 - drawn).mean(), abs=0.01)
    both = [draw_mix(1, 1, (8, 8), draw).box is None for _ in range(400)]
    assert 0.4 < np.mean(both) < 0.6


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_loss_of_a_mixed_sample_is_that_of_both_labels(digits, accumulate):
    recipe = {"augment": {"mixup": 1}, "label_smoothing": 0.1, "class_weights": "balanced", "accumulate": accumulate}
    model = {"name": "cnn_fc", "use": "cnn_fc", "parameters": {"channels": [4, 8], "hidden": 16}}
    trainer = tiny.trainer(digits, tiny.spec(recipe=recipe, model=model))
    seen, forward, trained = [], trainer.model.forward, []
    trainer.model.forward = lambda inputs: seen.append(forward(inputs)) or seen[-1]
    trainer.strategy.after_step = lambda t: trained.append(t.losses.clone())
    trainer.train_epoch()
    first = trainer.batches.order[:32]
    share, labels = trainer_share(trainer), trainer.train_data.labels[first]
    logits = torch.cat(seen[:accumulate]).detach()
    own, other = (
        functional.cross_entropy(logits, of, reduction="none", label_smoothing=0.1) for of in (labels, labels.roll(1))
    )
    torch.testing.assert_close(trained[0][first], share * own + (1 - share) * other)
    soft = share * functional.one_hot(labels, 10) + (1 - share) * functional.one_hot(labels.roll(1), 10)
    torch.testing.assert_close(
        trained[0][first], functional.cross_entropy(logits, soft, reduction="none", label_smoothing=0.1)
    )


def trainer_share(trainer):
    """That of the first step, whose draw is of the seed and the step alone."""
    return draw_mix(1, None, (8, 8), np.random.default_rng([trainer.spec.seed, 0])).share


@pytest.mark.parametrize(
    ("use", "own"),
    [("gradient_norm", {}), ("forgetting", {}), ("ast", {"scoring": "masked"}), ("ast", {"scoring": "remembered"})],
)
def test_who_judges_a_sample_by_one_label_is_refused(digits, tmp_path, use, own):
    augment, says = {"cutmix": 1}, f"{use} .*, and recipe.augment makes each sample of two; leave mixup and cutmix out"
    with pytest.raises(FrugalError, match=says):
        tiny.trainer(digits, tiny.spec(use, recipe={"augment": augment}, **own))
    recipe = {"epochs": 1, "batch_size": 8, "learning_rate": 0.1, "augment": augment}
    scale = {"datasets": ["digits"], "models": ["cnn-tiny"], "recipe": recipe}
    with pytest.raises(FrugalError, match=says):
        kinds.plan_of(tmp_path, scale, {"full": {"use": "full"}, "other": {"use": use, **own}})
