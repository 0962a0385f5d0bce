"""A streamed split hands over the same samples, bit for bit, and its thread neither hides an error nor stays behind."""

import threading

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frugal.data.device import SOURCES
from frugal.strategies.base import EpochPlan
from frugal.training.batches import arrange

CPU = torch.device("cpu")
MANY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "frugal-reader"]


def plan_of(kind, samples, draw, levels):
    keep = torch.rand(samples, generator=draw) < 0.8
    keep[0] = True
    level = torch.tensor(levels)[torch.randint(len(levels), (samples,), generator=draw)]
    return EpochPlan(keep, None, level if kind == "coefficients" else None)


@pytest.mark.parametrize("kind", SOURCES)
@MANY
@given(
    seed=st.integers(0, 999),
    size=st.integers(1, 150),
    spectral=st.booleans(),
    levels=st.lists(st.integers(1, 8), min_size=1, max_size=3, unique=True),
    data=st.data(),
)
def test_streamed_batches_are_the_resident_ones(digits, kind, seed, size, spectral, levels, data):
    resident, streamed = (SOURCES[kind](digits, "train", CPU, way) for way in (False, True))
    draw = torch.Generator().manual_seed(seed)
    epoch = arrange(plan_of(kind, len(resident), draw, levels), len(resident), size, spectral, draw)
    first = data.draw(st.integers(0, len(epoch) - 1), "the step that is resumed")
    stray = data.draw(st.integers(first, len(epoch)), "a reading that was not announced comes before this step")
    last = data.draw(st.integers(first, len(epoch)), "the step before which the epoch is left")
    streamed.follow(epoch.order, epoch.bounds, epoch.segments, first)
    for step in range(first, last):
        if step == stray:
            some = torch.arange(7)
            assert torch.equal(streamed.read(some), resident.read(some))
        start, stop = epoch.bounds[step]
        segments = epoch.segments[step] if epoch.segments else None
        images = [split.read(epoch.order[start:stop], segments, spectral) for split in (streamed, resident)]
        assert torch.equal(*images)
        assert streamed.take_bytes() == resident.take_bytes()
    streamed.close()
    assert readers() == []


@pytest.mark.parametrize("fails_at", [0, 3])
def test_what_the_reading_thread_raises_is_raised_in_the_training(digits, fails_at, monkeypatch):
    from frugal.data import streaming

    real, calls = streaming.gather, []

    def fragile(*arguments):
        calls.append(1)
        if len(calls) > fails_at:
            raise OSError("the disk is gone")
        return real(*arguments)

    monkeypatch.setattr(streaming, "gather", fragile)
    split = SOURCES["pixels"](digits, "train", CPU, True)
    epoch = arrange(EpochPlan(), len(split), 32, False, torch.Generator())
    split.follow(epoch.order, epoch.bounds, epoch.segments, 0)
    for start, stop in epoch.bounds[:fails_at]:
        split.read(epoch.order[start:stop])
    start, stop = epoch.bounds[fails_at]
    for _ in range(2):  # it stays so
        with pytest.raises(OSError, match="the disk is gone"):
            split.read(epoch.order[start:stop])
    split.close()
    assert readers() == []
