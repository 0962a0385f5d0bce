import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frugal.spec import Recipe
from frugal.training.optimizer import rate_at


def test_one_cycle_is_torchs():
    steps = 1000
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.2, total_steps=steps, pct_start=0.3)
    recipe = Recipe(epochs=1, batch_size=1, learning_rate=0.2, warmup=0.3)
    for step in range(steps):
        assert rate_at(step / steps, recipe) == pytest.approx(theirs.get_last_lr()[0], abs=0.2 * 4e-3)
        optimizer.step()
        theirs.step()


@given(
    progress=st.floats(0, 1), schedule=st.sampled_from(["constant", "one_cycle", "cosine"]), warmup=st.floats(0, 0.9)
)
def test_the_rate_never_exceeds_its_peak_nor_falls_below_zero(progress, schedule, warmup):
    recipe = Recipe(epochs=1, batch_size=1, learning_rate=0.3, schedule=schedule, warmup=warmup)
    assert -1e-12 <= rate_at(progress, recipe) <= 0.3 + 1e-12
