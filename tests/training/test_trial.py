"""A wrong net is told in one line before its first step, and the trial that finds it leaves no trace in the others."""

import inspect
import random
import sys

import numpy as np
import pytest
import torch
from torch import nn

import fits
import tiny
from frugal.errors import FrugalError
from frugal.models import cnn
from frugal.training import setup
from frugal.training.trial import Asked, try_out
from frugal.training.writer import metrics

MORE = "; 11 classes were assumed, since no data says how many; if its images are larger, say so with --size$"


class Net(nn.Module):
    """Everything that a pass could disturb: statistics, draws of torch, NumPy and Python, a count."""

    def __init__(self, classes: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3))
        self.head, self.calls = nn.Linear(16, classes), 0

    def forward(self, images):
        self.calls += 1
        noise = torch.randn(1).item() + np.random.standard_normal() + random.gauss() + self.calls  # noqa: NPY002
        return self.head(self.layers(images + 1e-3 * noise))


class Fails(nn.Module):
    def forward(self, images):
        return images.flatten(1) @ torch.ones(3, 3)  # here


class Three(nn.Module):
    """A third axis."""

    def forward(self, images):
        return images.flatten(1)[:, None, :10]


class Pair(nn.Module):
    def forward(self, images):
        logits = images.flatten(1)[:, :10]
        return logits, logits


class First(nn.Module):
    """So many numbers of an image."""

    def __init__(self, count):
        super().__init__()
        self.count = count

    def forward(self, images):
        return images.flatten(1)[:, : self.count]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tiny.digits_cache(tmp_path_factory)


def build(monkeypatch, make):
    monkeypatch.setattr(cnn, "build", lambda shape, classes, *, channels: make())


def trained(cache, monkeypatch, make):
    """What a run leaves, its losses to the last bit, and the draws that come next."""
    build(monkeypatch, make)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    trainer = tiny.trainer(cache)
    state = [buffer.clone() for buffer in trainer.model.buffers()]
    trainer.run()
    draws = torch.rand(1).item(), np.random.random(), random.random()  # noqa: NPY002
    return tiny.outcome(metrics(trainer, "")), [c.tolist() for c in trainer.history.curve], draws, state


def test_a_run_is_the_same_to_the_last_bit_as_without_the_trial(cache, monkeypatch):
    def make():
        return Net(10)

    tried = trained(cache, monkeypatch, make)
    called = []
    monkeypatch.setattr(setup, "try_out", lambda *given: called.append(given))
    untried = trained(cache, monkeypatch, make)
    assert called
    assert tried[:3] == untried[:3]
    assert all(torch.equal(one, other) for one, other in zip(tried[3], untried[3], strict=True))
    assert float(tried[3][2]) == 0, "batches that its normalisation has seen"


def test_lazy_layers_are_trained(cache, monkeypatch):
    build(monkeypatch, lambda: nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10)))
    trainer = tiny.trainer(cache)
    trainer.run()
    assert trainer.history.rows[-1]["val_accuracy"] > 0.5


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (Three, r"model cnn gives \(2, 1, 10\) for two samples, it must give \(2, 10\): a row of logits per sample"),
        (lambda: First(12), r"gives \(2, 12\) for two samples, it must give \(2, 10\)"),
        (lambda: First(2), r"gives \(2, 2\) for two samples"),
        (Pair, "gives a tuple for two samples"),
        (lambda: None, "its build returns a NoneType, it must return a torch.nn.Module"),
    ],
)
def test_what_is_not_logits_of_the_classes_is_told_before_anything_is_trained(cache, monkeypatch, net, message):
    build(monkeypatch, net)
    with pytest.raises(FrugalError, match=f"{message}.*; see its file .*scripts/frugal/models/cnn.py$"):
        tiny.trainer(cache)


def test_an_error_of_the_net_is_told_with_its_own_line_and_one_of_a_library_with_its_file(cache, monkeypatch):
    build(monkeypatch, Fails)
    lines, first = inspect.getsourcelines(Fails)
    line = first + next(place for place, text in enumerate(lines) if "# here" in text)
    with pytest.raises(
        FrugalError, match=rf"two samples of 1x8x8 \(RuntimeError: .*\); see .*test_trial.py, line {line}$"
    ):
        tiny.trainer(cache)
    build(monkeypatch, lambda: nn.Sequential(nn.Flatten(), nn.Linear(63, 10)))
    with pytest.raises(FrugalError, match=r"mat1 and mat2 .*\); see its file .*scripts/frugal/models/cnn.py$") as told:
        tiny.trainer(cache)
    assert "\n" not in str(told.value)


def test_a_lack_of_memory_stays_one(cache, monkeypatch):
    def forward(self, images):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Fails, "forward", forward)
    build(monkeypatch, Fails)
    with pytest.raises(torch.OutOfMemoryError):
        tiny.trainer(cache)


def test_a_transcription_has_a_row_for_each_of_any_number_of_frames():
    asked = Asked("w", "cnn", (400,), torch.float32, 6, "transcription")
    try_out(nn.Unflatten(1, (-1, 6)), Asked("w", "cnn", (600,), torch.float32, 6, "transcription"))
    with pytest.raises(FrugalError, match=r"gives \(2, 80, 5\) .* \(2, frames, 6\): a row of logits per frame"):
        try_out(nn.Unflatten(1, (-1, 5)), asked)
    with pytest.raises(FrugalError, match=r"gives \(2, 400\) .* \(2, frames, 6\)"):
        try_out(nn.Identity(), asked)


def test_a_net_that_cannot_be_copied_is_trained_untried():
    net = First(10)
    net.kept = nn.Linear(2, 2).weight * 2  # no leaf, which torch doesn't copy
    try_out(net, Asked("own", "cnn", (1, 8, 8), torch.float32, 3))


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (lambda shape: First(7), r"model cnn-tiny gives \(2, 7\) for two samples, it must give \(2, 11\)"),
        (lambda shape: Fails(), rf"model cnn-tiny fails on two samples of 3x8x8 \(RuntimeError: .*test_trial.py, line \d+{MORE}"),
        (lambda shape: nn.Sequential(nn.Conv2d(1, 1, 1), First(7)), r"gives \(2, 7\)"),
        (lambda shape: shape.missing, rf"model cnn-tiny can't be built for samples of 3x8x8 \(AttributeError: .* line \d+{MORE}"),
        (lambda shape: nn.Sequential(nn.Conv2d(1, 1, 1), First(11)), None),
    ],
    ids=["outputs", "fails", "outputs of grey images", "cannot be built", "for grey images alone"],
)  # fmt: skip
def test_which_strategies_fit_is_told_with_what_is_wrong_with_a_net(monkeypatch, capsys, net, message):
    monkeypatch.setattr(cnn, "build", lambda shape, classes, *, channels: net(shape))
    monkeypatch.setattr(sys, "argv", ["fits", "cnn-tiny", "--size", "8"])
    if message is None:
        fits.main()
    else:
        with pytest.raises(FrugalError, match=message) as error:
            fits.main()
        assert "; 11 classes were assumed" in str(error.value)
    assert ("infobatch" in capsys.readouterr().out) == (message is None), "no table of what a wrong net could do"


def test_a_net_that_needs_larger_images_is_tried_on_them(monkeypatch):
    def build(shape, classes, *, channels):
        assert min(shape[1:]) >= 40, "too small"
        return First(11)

    monkeypatch.setattr(cnn, "build", build)
    monkeypatch.setattr(fits.registry, "least_size", lambda model, parameters=None: 40)
    where = fits.ground("cnn", {"channels": [4]}, 32)
    assert where.size == 40
    fits.check_net("mine", where)
