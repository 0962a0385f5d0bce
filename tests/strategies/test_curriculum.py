"""Images that grow with the training: who is seen how large and when, what it costs, and what a small image is."""

from dataclasses import replace
from math import ceil, floor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

import kinds
import tiny
from frugal import registry
from frugal.data.device import split_class
from frugal.data.shrinking import shrunk
from frugal.errors import FrugalError
from frugal.measure.flops import decoding_flops
from frugal.strategies.base import Run, make
from frugal.strategies.combined import Combined
from frugal.strategies.frequency_curriculum import FrequencyCurriculum
from frugal.training.batches import arrange, cut

BOTH = ["frequency_curriculum", "interpolated_curriculum"]
GROWING = [[4, 0.3], [6, 0.7], [8, 1]]
SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=4, unique=True).map(sorted)


@st.composite
def stages(draw):
    """Any that are allowed."""
    sizes = draw(SIZES)
    ends = draw(st.lists(st.integers(1, 99), min_size=len(sizes) - 1, max_size=len(sizes) - 1, unique=True).map(sorted))
    return [[size, end / 100] for size, end in zip(sizes, [*ends, 100], strict=True)]


def started(samples, epochs=8, batch_size=4, **parameters):
    strategy = FrequencyCurriculum(**parameters)
    strategy.start(Run(samples, epochs, 0, torch.device("cpu"), batch_size=batch_size))
    return strategy


def sizes_of_steps(strategy, losses):
    """The size of each step of a training, in turn, as the loop would take them."""
    run, found, draw = strategy.run, [], torch.Generator().manual_seed(0)
    for epoch in range(ceil(run.epochs)):
        batches = arrange(strategy.plan_epoch(epoch, losses), run.samples, run.batch_size, True, draw)
        for step, segments in enumerate(batches.segments):
            if found and (run.epochs - epoch) * len(batches) - step < 0.5:
                return found
            assert len(segments) == 1
            found.append(segments[0][0])
    return found


@given(
    stages=stages(),
    samples=st.integers(8, 120),
    epochs=st.sampled_from([0.25, 0.4, 1, 1.25, 3, 8]),
    seen=st.booleans(),
)
def test_images_grow_step_by_step_and_every_size_holds_for_its_share_of_the_training(stages, samples, epochs, seen):
    strategy = started(samples, epochs, stages=stages)
    found = sizes_of_steps(strategy, torch.rand(samples) if seen else torch.full((samples,), float("inf")))
    steps = len(found)
    assert found == sorted(found)
    assert found[-1] == stages[-1][0], "it ends on the last size"
    before = 0.0
    for size, end in stages:
        assert abs(found.count(size) - (end - before) * steps) <= 2  # a part of an epoch takes a step more or less
        before = end


@given(samples=st.integers(8, 200), ahead=st.floats(0.05, 0.9), seed=st.integers(0, 99))
def test_the_hardest_samples_are_one_size_ahead_and_only_they(samples, ahead, seed):
    losses = torch.rand(samples, generator=torch.Generator().manual_seed(seed))
    strategy = started(samples, 8, stages=[[4, 0.5], [6, 0.9], [8, 1]], ahead=ahead)
    assert strategy.plan_epoch(0, torch.full((samples,), float("inf"))).level.unique().tolist() == [4]
    plan = strategy.plan_epoch(1, losses)
    larger = plan.level == 6
    hard = round(ahead * samples)
    if hard < 2:  # half of a batch
        hard = 0
    elif samples - hard < 2:
        hard = samples
    assert larger.sum() == hard
    assert not hard or losses[larger].min() >= losses[losses.argsort(descending=True)[hard - 1]]
    assert strategy.evidence() == {
        "share_k4": pytest.approx(1 - hard / samples),
        "share_k6": hard / samples,
        "share_k8": 0,
    }
    assert strategy.plan_epoch(7, losses).level[-1] in (6, 8)


def test_samples_that_were_never_seen_are_ahead_before_the_hardest():
    losses = torch.arange(20.0)
    losses[:5] = float("inf")
    plan = started(20, 8, stages=[[4, 0.5], [8, 1]], ahead=0.25).plan_epoch(1, losses)
    assert (plan.level == 8).nonzero().squeeze(1).tolist() == [0, 1, 2, 3, 4]


def test_parts_of_an_epoch_come_one_after_the_other_and_are_dealt_at_random():
    strategy = started(40, 2, stages=[[4, 0.25], [8, 1]])
    plan = strategy.plan_epoch(0, torch.rand(40))
    assert plan.part.bincount().tolist() == [20, 20]
    assert torch.equal(plan.level == 8, plan.part == 1)
    assert plan.part[:20].unique().tolist() == [0, 1]
    batches = arrange(plan, 40, 4, True, torch.Generator())
    assert [batch[0][0] for batch in batches.segments] == [4] * 5 + [8] * 5
    assert batches.order.sort().values.tolist() == list(range(40))
    assert batches.bounds == cut(40, 4)
    assert strategy.plan_epoch(1, torch.rand(40)).part is None


def test_an_epoch_that_the_training_ends_within_tells_what_it_visits():
    strategy = started(40, 0.5, stages=[[4, 0.4], [8, 1]])
    strategy.plan_epoch(0, torch.rand(40))
    assert strategy.evidence() == {"share_k4": 0.4, "share_k8": 0.6}


def test_left_out_samples_leave_no_lone_one_in_a_part():
    both = Combined(
        parts=[{"use": "fixed_subset", "share": 0.1}, {"use": "frequency_curriculum", "stages": [[4, 0.3], [8, 1]]}]
    )
    for seed in range(20):
        both.start(Run(60, 1, seed, torch.device("cpu"), batch_size=6))
        plan = both.plan_epoch(0, torch.rand(60))
        for part in plan.part[plan.keep].unique():
            counts = plan.level[plan.keep & (plan.part == part)].unique(return_counts=True)[1]
            assert counts.min() > 1
        assert both.shares["share_k4"] == (plan.level[plan.keep] == 4).double().mean()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            [[16, 0.4], [16, 1]],
            "each stage has more pixels than the one before and ends later; [16, 1] follows [16, 0.4]",
        ),
        ([[16, 0.4], [24, 0.3], [32, 1]], "[24, 0.3] follows [16, 0.4]"),
        ([[16, 0.4], [24, 0.9]], "the last stage ends with the training, at 1, not at 0.9"),
        ([[16, 0], [24, 1]], "give pairs of pixels per side and the share"),
        ([[16.5, 1]], "give pairs"),
        ([16, 24], "give pairs"),
        ({16: 1}, "give pairs"),
        ([], "give pairs"),
    ],
)
@pytest.mark.parametrize("use", BOTH)
def test_stages_that_do_not_ascend_or_end_are_refused_in_one_line(use, given, says):
    with pytest.raises(FrugalError) as error:
        registry.check("strategy", use, {"stages": given}, "here")
    assert str(error.value).startswith("here: stages is [") or given == {16: 1}
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(FrugalError, match="stages is"):
        make(use, {"stages": given})


def planned(tmp_path, use, dataset="digits", model="cnn-tiny", given=GROWING, **scale):
    return kinds.plan_of(
        tmp_path,
        {"datasets": [dataset], "models": [model], **scale},
        {"full": {"use": "full"}, "growing": {"use": use, "stages": given}},
    ).run("mixed", dataset, model, "growing", 0)


@pytest.mark.parametrize("use", BOTH)
@pytest.mark.parametrize(
    ("where", "says"),
    [
        ({"given": [[4, 0.5], [9, 1]]}, "stages asks for 9 .* per axis, but images of digits have 8; choose 1 to 8"),
        ({"model": "cnn-fc-small"}, "trains on images of k x k pixels, and model cnn_fc takes images of one size only"),
        ({"dataset": "cifar-10", "model": "airbench"}, "here 4 pixels per side, and model airbench takes 9 or more"),
        ({"dataset": "breast-cancer", "model": "mlp"}, "works on images only"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_job(tmp_path, use, where, says):
    with pytest.raises(FrugalError, match=says):
        planned(tmp_path, use, **where)


def test_stages_are_scaled_to_the_images_and_those_that_become_equal_are_one(tmp_path):
    def scaled(name, dataset, model, given):
        spec = planned(tmp_path / name, BOTH[0], dataset, model, given, levels_for=28)
        return spec.strategy.parameters["stages"]

    thirds = [[14, 0.4], [21, 0.7], [28, 1]]
    assert scaled("small", "digits", "cnn-tiny", thirds) == [[4, 0.4], [6, 0.7], [8, 1]]
    assert scaled("same", "mnist", "cnn-small", thirds) == thirds
    assert scaled("large", "cifar-10", "airbench", thirds) == [[16, 0.4], [24, 0.7], [32, 1]]
    assert scaled("equal", "digits", "cnn-tiny", [[20, 0.2], [21, 0.4], [28, 1]]) == [[6, 0.4], [8, 1]]


@settings(deadline=None)  # torch's first `interpolate` takes a second
@given(size=st.integers(2, 20), smaller=st.integers(1, 20), seed=st.integers(0, 99))
def test_a_shrunk_image_is_torchs_and_keeps_its_brightness(size, smaller, seed):
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(seed))
    if smaller > size:
        with pytest.raises(FrugalError, match="can't be shrunk"):
            shrunk(images, smaller)
        return
    small = shrunk(images, smaller)
    expected = functional.interpolate(images, (smaller, smaller), mode="bilinear", antialias=True)
    torch.testing.assert_close(small, expected, rtol=1e-4, atol=1e-5)
    assert small is images or smaller < size
    torch.testing.assert_close(shrunk(torch.full_like(images, 0.7), smaller), torch.full_like(small, 0.7))


def trained(digits, use, recipe=None, **parameters):
    trainer = tiny.trainer(digits, tiny.spec(use, recipe=recipe, **parameters))
    trainer.run()
    return trainer


@pytest.mark.parametrize("use", BOTH)
@pytest.mark.parametrize("epochs", [3, 0.6])
def test_flops_and_bytes_are_those_of_the_sizes_seen(digits, use, epochs):
    growing, full = (
        trained(digits, one, {"epochs": epochs}, **given) for one, given in ((use, {"stages": GROWING}), ("full", {}))
    )
    assert growing.ledger.steps == full.ledger.steps
    assert growing.ledger.samples_backpropagated == full.ledger.samples_backpropagated
    visits = {size: 0 for size, _ in GROWING}
    for row in growing.history.rows:
        seen = {size: round(row[f"share_k{size}"] * row["samples"]) for size in visits}
        assert sum(seen.values()) == row["samples"]
        visits = {size: visits[size] + seen[size] for size in visits}
    total, step = growing.ledger.samples_backpropagated, 1 / growing.ledger.steps
    assert [visits[size] / total for size, _ in GROWING] == pytest.approx([0.3, 0.4, 0.3], abs=1.2 * step)
    passes = {size: growing.flops_at(size) for size in visits}
    assert growing.ledger.flops_forward == sum(visits[size] * passes[size].forward for size in visits)
    assert growing.ledger.flops_backward == sum(visits[size] * passes[size].backward for size in visits)
    share = (growing.ledger.flops_executed - growing.ledger.flops_decoding) / full.ledger.flops_executed
    assert share == pytest.approx(0.3 * (4 / 8) ** 2 + 0.4 * (6 / 8) ** 2 + 0.3, abs=0.05 + step / 2)
    if use == "frequency_curriculum":
        assert growing.ledger.bytes_read == sum(visits[size] * size**2 for size in visits)
        assert growing.ledger.flops_decoding == sum(visits[size] * 4 * size**3 for size in visits)
    else:
        assert growing.ledger.bytes_read == full.ledger.bytes_read == growing.ledger.bytes_raw
        shrinking = {size: 2 * (64 * size + size * 8 * size) for size in (4, 6)}
        assert growing.ledger.flops_decoding == sum(visits[size] * flops for size, flops in shrinking.items())


def same_training(one, other):
    assert torch.equal(torch.cat(one.history.curve), torch.cat(other.history.curve))
    for name, weight in one.model.state_dict().items():
        assert torch.equal(weight, other.model.state_dict()[name]), name


def test_with_one_stage_of_whole_images_each_is_the_strategy_without_stages(digits):
    recipe = {"augment": {"crop_padding": 1, "flip": True}}
    same_training(trained(digits, "interpolated_curriculum", recipe, stages=[[8, 1]]), trained(digits, "full", recipe))
    for size in (8, 5):
        same_training(
            trained(digits, "frequency_curriculum", recipe, stages=[[size, 1]]),
            trained(digits, "compression", recipe, k_hi=size, decode="spectral"),
        )


def test_the_control_sees_the_same_samples_at_the_same_size_and_time(digits):
    seen = []
    for use in BOTH:
        trainer = tiny.trainer(digits, tiny.spec(use, stages=GROWING))
        steps = []
        trainer.strategy.after_step = lambda t, steps=steps: steps.append(
            t.batches.order[slice(*t.batches.bounds[t.step - 1])].tolist() + t.batches.segments[t.step - 1]
        )
        trainer.run()
        seen.append(steps)
    assert seen[0] == seen[1]
    assert len(seen[0]) == floor(3 * round(300 / 32))


def test_a_cache_without_pixels_is_decoded_whole_before_it_is_shrunk(digits):
    stored = replace(digits, manifest={**digits.manifest, "images": False})
    data, spectral = (
        split_class(stored, reads)(stored, "train", torch.device("cpu")) for reads in ("pixels", "coefficients")
    )
    chosen, segments = torch.arange(20), [(4, 0, 20)]
    data.follow(chosen, [(0, 20)], [segments], 0)
    small = data.read(chosen, segments, spectral=True)
    assert data.take_bytes() == 20 * 64
    assert torch.equal(small, shrunk(data.read(chosen), 4))
    assert not torch.allclose(small, spectral.read(chosen, segments, spectral=True), atol=0.1)
    assert data.reading_flops(4, segments) == decoding_flops(1, 8, 8) + decoding_flops(1, 8, 4)
