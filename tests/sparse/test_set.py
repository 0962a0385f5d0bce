"""SET drops what is nearest to zero on both sides and keeps the number of connections; ERK follows its formula."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tiny
from frugal.sparse.convert import densities, sparse_layers
from frugal.strategies.set import survivors


@given(st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=60), st.floats(0, 0.99))
def test_the_smallest_positive_and_the_largest_negative_go(values, zeta):
    values = torch.tensor(values)
    stays = torch.zeros(len(values), dtype=torch.bool)
    stays[survivors(values, zeta)] = True
    for side in (values >= 0, values < 0):
        gone, left = values[side & ~stays].abs(), values[side & stays].abs()
        assert len(gone) == int(zeta * int(side.sum()))
        assert not len(gone) or not len(left) or gone.max() <= left.min()


def test_connections_move_after_each_epoch_but_the_last_and_their_number_stays(digits):
    trainer = tiny.trainer(digits, tiny.spec("set", sparsity=0.7, zeta=0.3, kernel="scatter"))
    layers, after_epoch, seen = sparse_layers(trainer.model), trainer.strategy.after_epoch, []
    numbers = {name: len(layer.index) for name, layer in layers.items()}

    def watched(training):
        before = {name: (layer.index.clone(), layer.values.detach().clone()) for name, layer in layers.items()}
        after_epoch(training)
        moved = 0
        for name, layer in layers.items():
            index, values = before[name]
            assert len(layer.index.unique()) == len(layer.index) == numbers[name]
            if training.progress < 1:
                kept = survivors(values, 0.3)
                assert torch.isin(index[kept], layer.index).all()
                place = {int(unit): float(value) for unit, value in zip(index[kept], values[kept], strict=True)}
                assert [place.get(int(unit), 0.0) for unit in layer.index] == layer.values.tolist(), (
                    "others start at zero"
                )
                moment = trainer.optimizer.state[layer.values]["momentum_buffer"]
                grown = ~torch.isin(layer.index, index[kept])
                assert (moment[grown] == 0).all()
            moved += int((~torch.isin(layer.index, index)).sum())
        seen.append(moved)

    trainer.strategy.after_epoch = watched
    trainer.run()
    assert seen[0] > 0
    assert seen[1] > 0
    assert seen[2] == 0
    assert trainer.history.rows[-1]["moved_weights"] == sum(seen)
    assert trainer.history.rows[-1]["sparsity"] == pytest.approx(0.7, abs=5e-3)


LAYERS = st.dictionaries(
    st.text(min_size=1, max_size=3),
    st.tuples(st.integers(1, 64), st.integers(1, 64)) | st.tuples(*[st.integers(1, 64)] * 2, *[st.integers(1, 5)] * 2),
    min_size=1,
    max_size=6,
)


@given(LAYERS, st.floats(0, 0.99))
def test_erk_densities_sum_to_the_total_and_are_in_proportion(layers, sparsity):
    kept = densities(layers, sparsity, "erk")
    sizes = {name: np.prod(shape) for name, shape in layers.items()}
    total = sum(sizes.values())
    assert sum(kept[n] * sizes[n] for n in layers) == pytest.approx((1 - sparsity) * total)
    assert all(0 < density <= 1 + 1e-9 for density in kept.values())
    # (n_in + n_out + k_w + k_h) / (n_in n_out k_w k_h), times one epsilon for all that aren't dense
    epsilons = {name: kept[name] * sizes[name] / sum(shape) for name, shape in layers.items()}
    sparse = [epsilons[name] for name in layers if kept[name] < 1]
    assert sparse == pytest.approx(sparse[:1] * len(sparse))
    assert all(epsilons[name] <= sparse[0] * (1 + 1e-9) for name in layers if kept[name] == 1 and sparse)


def test_erk_by_hand():
    kept = densities({"conv": (16, 8, 3, 3), "head": (10, 16), "first": (8, 1, 3, 3)}, 0.5, "erk")
    # 1384 weights, 692 of them kept: epsilon is 692 / (30 + 26 + 15), too many for head and first, so conv has 460 of 1152
    assert kept == {"head": 1.0, "first": 1.0, "conv": pytest.approx(460 / 1152)}


@pytest.mark.parametrize("use", ["rigl", "set"])
def test_a_net_has_those_densities_and_its_first_layer_and_head_have_their_share(digits, use):
    wanted = {"sparsity": 0.6, "distribution": "erk", "kernel": "scatter"}
    trainer = tiny.trainer(digits, tiny.spec(use, recipe={"epochs": 1}, **wanted))
    layers = sparse_layers(trainer.model)
    assert list(layers) == ["0", "4", "9"]
    kept = densities({"0": (8, 1, 3, 3), "4": (16, 8, 3, 3), "9": (10, 16)}, 0.6, "erk")
    assert {n: len(layer.index) for n, layer in layers.items()} == {
        n: pytest.approx(kept[n] * layer.dense_weights, abs=0.51) for n, layer in layers.items()
    }
    trainer.run()
    assert list(sparse_layers(tiny.trainer(digits, tiny.spec(use, **wanted | {"distribution": "uniform"})).model)) == [
        "4"
    ]
