"""Costs: counted, never guessed."""

import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score
from torch import nn

from frugal.data.decoder import Decoder
from frugal.measure.clock import Clock
from frugal.measure.energy import Energy
from frugal.measure.flops import decoding_flops, pass_flops
from frugal.measure.memory import peak_memory
from frugal.measure.scores import balanced_accuracy, macro_f1, roc_auc

CPU = torch.device("cpu")


def test_flops_of_a_net_are_those_of_its_formula():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
    flops = pass_flops(model, (3, 6, 6), 10)
    convolution, linear = 2 * 36 * 8 * 3 * 9, 2 * 8 * 36 * 10
    assert flops.forward == convolution + linear
    assert flops.backward == convolution + 2 * linear  # the input image needs no gradient


def test_counting_leaves_the_model_alone():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(2))
    model(torch.zeros(2, 1, 5, 5))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    pass_flops(model, (1, 5, 5), 2)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert all(p.grad is None for p in model.parameters())


@given(channels=st.integers(1, 3), size=st.integers(1, 12), spectral=st.booleans(), data=st.data())
def test_decoding_flops_are_those_torch_counts(channels, size, spectral, data):
    import numpy as np
    from torch.utils.flop_counter import FlopCounterMode

    level = data.draw(st.integers(1, size))
    shape = (channels, size, size)
    decoder = Decoder(np.ones(shape), np.zeros(channels), np.zeros(channels), np.ones(channels), CPU)
    rows = torch.ones(5, channels * level**2, dtype=torch.int8)
    with FlopCounterMode(display=False) as counter:
        decoder(rows, level, spectral)
    assert counter.get_total_flops() == 5 * decoding_flops(channels, level, level if spectral else size)


@given(data=st.data(), classes=st.integers(2, 6))
def test_macro_f1_is_scikit_learns(data, classes):
    count = data.draw(st.integers(1, 30))
    draw = st.lists(st.integers(0, classes - 1), min_size=count, max_size=count)
    labels, predictions = data.draw(draw), data.draw(draw)
    expected = f1_score(labels, predictions, average="macro", zero_division=0)
    assert macro_f1(torch.tensor(labels), torch.tensor(predictions), classes) == pytest.approx(expected)


@given(data=st.data(), classes=st.integers(2, 5))
def test_balanced_accuracy_and_roc_auc_are_scikit_learns(data, classes):
    count = data.draw(st.integers(classes, 30))
    labels = torch.tensor([*range(classes), *data.draw(st.lists(st.integers(0, classes - 1), max_size=count))])
    drawn = st.lists(st.integers(-2, 2), min_size=len(labels) * classes, max_size=len(labels) * classes)  # with ties
    logits = torch.tensor(data.draw(drawn), dtype=torch.float32).view(-1, classes)
    predictions, chances = logits.argmax(1), logits.double().softmax(1)
    expected = balanced_accuracy_score(labels, predictions)
    assert balanced_accuracy(labels, predictions, classes) == pytest.approx(expected)
    assert balanced_accuracy(labels[:1], predictions[:1], classes) == float(labels[0] == predictions[0]), (
        "others don't occur"
    )
    several = {"multi_class": "ovr", "average": "macro"} if classes > 2 else {}
    expected = roc_auc_score(labels, chances if classes > 2 else chances[:, 1], **several)
    assert roc_auc(labels, logits) == (pytest.approx(expected), None)


def test_without_a_class_or_with_outputs_that_are_no_numbers_there_is_no_auc():
    logits = torch.randn(6, 8)
    assert roc_auc(torch.tensor([0, 1, 2, 0, 1, 4]), logits) == (None, "the test set has no sample of class 3, 5, 6, 7")
    logits[0, 0] = float("nan")
    found, why = roc_auc(torch.arange(8), torch.cat([logits, logits[:2]]))
    assert found is None
    assert "aren't all finite" in why


def test_a_stage_inside_another_is_not_counted_twice():
    clock = Clock(CPU)
    with clock.stage("train"):
        time.sleep(0.02)
        with clock.stage("checkpoint"):
            assert clock.seconds["train"] >= 0.02, "a checkpoint holds the time up to it"
            time.sleep(0.2)
    assert clock.seconds["checkpoint"] >= 0.2
    assert 0.02 <= clock.seconds["train"] < 0.2


def test_energy_is_measured_or_null_with_a_reason():
    energy = Energy(CPU)
    energy.start()
    sum(i * i for i in range(10**6))
    energy.stop()
    if energy.joules is None:
        assert energy.source.startswith("no meter")
    else:
        assert energy.joules > 0
        assert energy.source.startswith("zeus: ")


def test_peak_memory_sees_an_allocation():
    before, source = peak_memory(CPU)
    if before is None:
        pytest.skip(source)
    block = torch.ones(150_000_000)  # 600 MB
    after, _ = peak_memory(CPU)
    assert after >= block.numel() * 4
    assert "process" in source
