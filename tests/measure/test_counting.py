"""FLOPs of nets that can't run without values, or can't be counted at all: a record says how, and no training ends of it."""

import copy
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

import tiny
from frugal.measure.flops import ON_META, SAMPLES, pass_flops
from frugal.models.bert import Bert
from frugal.models.cnn import build as cnn
from frugal.pruning.sizes import Sizes
from frugal.training import state
from frugal.training import trainer as trainers
from frugal.training.writer import manifest, metrics, write_record

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


class Usual(nn.Module):
    """An encoder called as everyone calls it, with the mask of (b, L) that its authors document."""

    def __init__(self, classes=3):
        super().__init__()
        self.net = BertForSequenceClassification(BertConfig(vocab_size=50, num_labels=classes, **SIZES))

    def forward(self, tokens):
        return self.net(input_ids=tokens, attention_mask=(tokens != 0).long()).logits


class Asking(nn.Module):
    """Asks its input for a value, and has all that a pass could leave a trace in."""

    def __init__(self, classes=10):
        super().__init__()
        self.net = cnn((1, 8, 8), classes, channels=[4, 6])
        self.dropout = nn.Dropout(0.5)

    def forward(self, images):
        return self.dropout(self.net(images)) * (1.0 if images.abs().sum().item() >= 0 else 2.0)


class Refusing(nn.Module):
    """Works on its own batches alone: neither empty samples nor two of them."""

    def __init__(self):
        super().__init__()
        self.net = cnn((1, 8, 8), 10, channels=[8, 16])

    def forward(self, images):
        if len(images) == SAMPLES:
            raise RuntimeError("not with two")
        return self.net(images)


def test_an_encoder_with_the_usual_mask_is_counted_as_the_same_one_with_a_mask_that_asks_nothing():
    torch.manual_seed(0)
    usual = Usual()
    asked, spared = (pass_flops(net, (12,), 3, dtype=torch.int64) for net in (usual, Bert(copy.deepcopy(usual.net))))
    assert (asked.forward, asked.backward) == (spared.forward, spared.backward)
    assert spared.source == ON_META
    assert asked.source.startswith("torch's counter, a pass on cpu (on the meta device: RuntimeError: Tensor.item()")


@settings(deadline=None, max_examples=10)
@given(channels=st.lists(st.integers(2, 6), min_size=1, max_size=3), size=st.integers(4, 9))
def test_a_real_pass_counts_what_the_meta_device_counts(channels, size):
    net = cnn((2, size, size), 3, channels=channels)
    on_meta = pass_flops(net, (2, size, size), 3)
    real = pass_flops(nn.Sequential(_Ask(), net), (2, size, size), 3)
    assert (real.forward, real.backward) == (on_meta.forward, on_meta.backward)


class _Ask(nn.Module):
    def forward(self, x):
        x.sum().item()
        return x


def test_counting_on_a_real_pass_leaves_no_trace():
    net = Asking().train()
    before, random = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    assert pass_flops(net, (1, 8, 8), 10).forward > 0
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.fixture
def built(monkeypatch):
    """A net in the place of the run's own, with weights drawn as the run draws them."""

    def place(make):
        def model(spec, cache, device):
            return make().to(device)

        monkeypatch.setattr(trainers, "make_model", model)

    return place


def finished(digits, folder):
    """The record of a run, as it lies on the disk."""
    trainer = tiny.trainer(digits)
    trainer.run()
    write_record(folder, metrics(trainer, "f"), manifest(trainer, "f", {}, {}, []), trainer)
    return trainer, json.loads((folder / "metrics.json").read_text())


def test_a_training_is_the_same_bit_for_bit_whether_it_is_counted_on_a_real_pass_or_not_at_all(
    digits, built, tmp_path, monkeypatch
):
    built(Asking)
    counted, record = finished(digits, tmp_path / "counted")
    assert record["flops_executed"] > 0
    assert "a pass on cpu" in record["flops_source"]
    monkeypatch.setattr("frugal.measure.flops._count", lambda *_: 1 / 0)
    untouched, _ = finished(digits, tmp_path / "untouched")
    assert torch.equal(torch.cat(counted.history.curve), torch.cat(untouched.history.curve))
    same = zip(counted.model.state_dict().values(), untouched.model.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in same)


def test_a_net_that_can_be_counted_nowhere_is_trained_and_its_record_says_null_and_why(digits, built, tmp_path):
    built(Refusing)
    trainer, record = finished(digits, tmp_path)
    for name in ("flops_executed", "flops_forward", "flops_backward", "flops_forward_per_sample"):
        assert record[name] is None
    assert record["flops_source"].startswith("not counted: RuntimeError: not with two")
    assert record["samples_backpropagated"] == 900
    assert [row["flops_executed"] for row in trainer.history.rows] == [None] * 3


def test_an_operator_that_the_counter_does_not_know_is_named():
    @torch.library.custom_op("frugaltest::twice", mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor:
        return 2 * x @ torch.eye(x.shape[1])

    twice.register_fake(torch.empty_like)
    twice.register_autograd(lambda ctx, gradient: 2 * gradient)

    class Custom(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 2)

        def forward(self, x):
            return self.layer(twice(x))

    counted = pass_flops(Custom(), (6,), 2)
    assert counted.forward == 2 * 6 * 2
    assert counted.source == f"{ON_META}; without frugaltest::twice (1x), for which it has no formula"


def test_a_matrix_times_a_vector_is_named_too_and_what_is_elementwise_is_not():
    class Vector(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4))
            self.head = nn.Linear(1, 2)

        def forward(self, x):
            return self.head(torch.mv(x, self.weight).relu()[:, None])

    assert "; without aten::mv (" in pass_flops(Vector(), (4,), 2).source


def test_a_custom_function_of_known_operators_is_counted():
    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight):
            ctx.save_for_backward(x, weight)
            return x @ weight

        @staticmethod
        def backward(ctx, gradient):
            x, weight = ctx.saved_tensors
            return gradient @ weight.T, x.T @ gradient

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(6, 2))

        def forward(self, x):
            return Product.apply(x, self.weight)

    counted = pass_flops(Own(), (6,), 2)
    assert (counted.forward, counted.source) == (24, ON_META)


def test_numpy_in_a_net_is_no_error():
    class Outside(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return torch.from_numpy(np.tanh(x.detach().numpy()))

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 2)

        def forward(self, x):
            return Outside.apply(self.layer(x))

    counted = pass_flops(Mixed(), (6,), 2)
    assert counted.forward == 24
    assert "a pass on cpu" in counted.source


def test_what_pruning_leaves_is_counted_for_a_net_that_asks_for_values():
    torch.manual_seed(0)
    tokens = torch.ones(2, 12, dtype=torch.int64)
    usual = Usual()
    asked, spared = Sizes(usual, tokens), Sizes(Bert(copy.deepcopy(usual.net)), tokens)
    assert asked.full == spared.full
    narrower = {group.name: max(1, group.units // 2) for group in asked.groups}
    assert asked.at(narrower) == spared.at(narrower)
    assert asked.at(narrower)[0] < asked.full[0]


def test_a_net_that_saves_more_than_tensors_has_a_size():
    class Extra(nn.Linear):
        def get_extra_state(self):
            return {"anything": 1}

        def set_extra_state(self, state):
            pass

    from frugal.measure.weights import weights_of

    assert weights_of(Extra(3, 2)).bytes == 4 * 8


@pytest.mark.parametrize(("use", "times"), [("full", 1), ("sparse", 2)])
def test_useful_flops_are_counted_apart_only_where_a_layer_tells_them_from_others(use, times, digits, monkeypatch):
    counted = []
    monkeypatch.setattr(
        state, "pass_flops", lambda *given, **named: counted.append(named) or pass_flops(*given, **named)
    )
    parameters = {"pattern": "block-4x4", "sparsity": 0.5, "kernel": "scatter"} if use == "sparse" else {}
    trainer = tiny.trainer(digits, tiny.spec(use, **parameters))
    trainer.run()
    figures = metrics(trainer, "fingerprint")
    assert len(counted) == times
    assert (figures["flops_useful_per_sample"] < figures["flops_forward_per_sample"]) == (use == "sparse")
