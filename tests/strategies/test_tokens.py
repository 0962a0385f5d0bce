"""Tokens that are left out take no work, are merged back unchanged and in order, and are all there when it counts."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import kinds
import tiny
from frugal import registry
from frugal.errors import FrugalError
from frugal.measure.flops import pass_flops
from frugal.models import bert, transformer, vit
from frugal.sparse.tokens import draw, pick, put_back
from frugal.strategies.base import ModelBuilder, Run, make
from frugal.strategies.token_drop import _on_some
from frugal.training.batches import cut

TEXT = {"layers": 4, "heads": 2, "hidden": 8, "feed_forward": 16, "dropout": 0.0}
IMAGE = {**tiny.VIT["parameters"], "dropout": 0.0}


def net(use, length=20):
    torch.manual_seed(0)
    if use == "vit":
        return vit.build((1, 8, 8), 3, **IMAGE)
    return {"transformer": transformer, "bert": bert}[use].build((length,), 3, 50, **TEXT)


def prepared(strategy, model, use, length=20, **parameters):
    """The strategy, which has changed the model."""
    made = make(strategy, parameters)
    example = torch.ones(2, 1, 8, 8) if use == "vit" else torch.ones(2, length, dtype=torch.int64)
    made.model_builder = ModelBuilder(use, None, {"patch": 2}, {})
    made.start(Run(100, 4, 0, torch.device("cpu"), example=example))
    assert made.prepare_model(model) is model
    return made


def inputs(use, count=5, length=20):
    draws = torch.Generator().manual_seed(1)
    if use == "vit":
        return torch.randn(count, 1, 8, 8, generator=draws)
    return torch.randint(1, 50, (count, length), generator=draws)


def growing(tokens, **parameters):
    made = make("token_drop", parameters)
    made.tokens = tokens
    return made


@pytest.mark.parametrize(
    ("tokens", "parameters", "kept"),
    [
        # The paper's: 128 of 2,048 tokens at first, 16 more at a time, all of them after 70 % of the training.
        (2048, {}, {0: 128, 0.005: 128, 0.006: 144, 0.35: 1088, 0.69: 2016, 0.7: 2048, 1: 2048}),
        (64, {"initial": 0.25, "increment": 4, "until": 0.5}, {0: 16, 0.1: 24, 0.25: 40, 0.3: 44, 0.499: 60, 0.5: 64}),
        (49, {"initial": 0.1, "increment": 5, "until": 1}, {0: 4, 0.1: 5, 0.5: 25, 0.99: 45, 1: 49}),
        (10, {"initial": 1}, {0: 10, 0.5: 10}),
    ],
)
def test_the_number_of_tokens_kept_grows_linearly_in_steps(tokens, parameters, kept):
    strategy = growing(tokens, **parameters)
    assert {progress: strategy.due(progress) for progress in kept} == kept


@given(
    tokens=st.integers(1, 3000),
    initial=st.floats(0.001, 1),
    increment=st.integers(1, 40),
    until=st.floats(0.01, 1),
    steps=st.integers(1, 60),
)
def test_it_never_shrinks_and_ends_with_all(tokens, initial, increment, until, steps):
    strategy = growing(tokens, initial=initial, increment=increment, until=until)
    counts = [strategy.due(step / steps) for step in range(steps + 1)]
    assert counts == sorted(counts)
    assert counts[-1] == tokens
    assert counts[0] == max(1, int(initial * tokens))
    for step, count in enumerate(counts):
        line = counts[0] + (tokens - counts[0]) * min(1, step / steps / until)
        assert count <= line + 1e-5
        assert count > line - increment - 1e-5


class _Marks(nn.Module):
    """Stands for a layer: adds 100 to whatever it is shown, and notes it."""

    def forward(self, hidden, *_, **__):
        self.shown = hidden
        return hidden + 100


class _Starts(nn.Module):
    """Stands for the first layer: the number of each token, whatever came in."""

    def forward(self, hidden, *_, **__):
        return torch.arange(hidden.shape[1]).expand(hidden.shape[:2])[..., None] + 0 * hidden


def marked(use, kept):
    """A net whose layers say what they were shown: layer 1 and 2 of four work on some tokens."""
    model = net(use)
    layers = model.get_submodule(registry.token_layers(use))
    layers[0] = _Starts()
    for place in (1, 2, 3):
        layers[place] = _Marks()
    strategy = prepared("token_drop", model, use)
    strategy.work_on(kept)
    return model.train(), layers, strategy.tokens


@pytest.mark.parametrize("use", ["transformer", "vit", "bert"])
def test_tokens_not_drawn_pass_unchanged_and_the_order_is_kept(use):
    model, layers, tokens = marked(use, 6)
    model(inputs(use, 40))
    first, second, last = (layers[place].shown[..., 0] for place in (1, 2, 3))
    assert (first.shape, second.shape, last.shape) == ((40, 6), (40, 6), (40, tokens))
    assert (first.diff(dim=1) > 0).all(), "in their order"
    number = last % 100
    assert torch.equal(number, torch.arange(tokens).expand(40, -1).to(number.dtype)), "each in its place"
    drawn = torch.zeros(40, tokens)
    for shown in (first, second % 100):
        drawn.scatter_add_(1, shown.long(), torch.ones(shown.shape))
    assert torch.equal((last - number) / 100, drawn), "100 more for each layer that worked on it"
    assert not torch.equal(first, second % 100), "drawn for each layer"
    assert len(first.unique(dim=0)) > 1, "and for each sample"


@pytest.mark.parametrize("use", ["transformer", "vit", "bert"])
def test_nothing_is_dropped_in_evaluation(use):
    plain, model = net(use).eval(), net(use)
    strategy = prepared("token_drop", model, use, initial=0.25)
    strategy.before_forward(None)
    assert strategy.variant() == strategy.count < strategy.tokens
    batch = inputs(use)
    model.eval()
    assert torch.equal(model(batch), plain(batch))
    model.train(), plain.train()
    assert not torch.equal(model(batch), plain(batch))
    strategy.work_on(strategy.tokens)
    assert strategy.variant() is None
    assert torch.equal(model(batch), plain(batch))


def test_patches_left_out_are_never_seen_and_the_others_keep_their_places():
    plain, model, batch = net("vit").eval(), net("vit"), inputs("vit", 30)
    strategy = prepared("patch_drop", model, "vit", share=0.75)
    strategy.before_forward(None)
    assert torch.equal(model.eval()(batch), plain(batch))
    for one in (plain, model):
        one.layers[0] = _Marks()
    model.train()(batch), plain(batch)
    kept, all_of_them = model.layers[0].shown, plain.layers[0].shown
    assert kept.shape == (30, 4, 8)
    same = (kept[:, :, None] == all_of_them[:, None]).all(3)  # (image, kept, patch)
    assert (same.sum(2) == 1).all()
    places = same.int().argmax(2)
    assert (places.diff(dim=1) > 0).all()
    assert len(places.unique(dim=0)) > 1
    model.kept_share = 1.0
    model(batch)
    assert torch.equal(model.layers[0].shown, all_of_them)


def test_every_token_is_drawn_as_often_as_any_other():
    places = draw(torch.zeros(4000, 10, 1), 3)
    shares = places.flatten().bincount(minlength=10) / 4000
    assert (shares - 0.3).abs().max() < 5 * (0.3 * 0.7 / 4000) ** 0.5
    assert places.sort(1).values.equal(places)
    assert (places.diff(dim=1) > 0).all(), "none twice"


@given(real=st.lists(st.integers(1, 12), min_size=1, max_size=6), count=st.integers(1, 12), seed=st.integers(0, 999))
def test_padding_is_drawn_like_any_token_unless_nothing_else_would_be(real, count, seed):
    own = torch.arange(12) < torch.tensor(real)[:, None]
    torch.manual_seed(seed)
    free = draw(torch.zeros(len(real), 12, 1), count)
    torch.manual_seed(seed)
    places = draw(torch.zeros(len(real), 12, 1), count, own)
    for ours, theirs, length in zip(places, free, real, strict=True):
        assert (ours < length).any()
        if (theirs < length).any():
            assert torch.equal(ours, theirs)
        else:
            assert (ours < length).sum() == 1


@pytest.mark.parametrize("use", ["transformer", "bert"])
def test_a_text_of_one_word_is_still_a_number(use):
    model = net(use)
    strategy = prepared("token_drop", model, use)
    strategy.work_on(2)
    texts = inputs(use, 60)
    texts[:, 1:] = 0
    logits = model.train()(texts)
    logits.sum().backward()
    assert logits.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("rows", [1, 6])
@pytest.mark.parametrize("added", [False, True])
def test_masks_are_cut_like_the_tokens(rows, added):
    tokens = torch.arange(6.0).expand(3, 6)[..., None]
    mask = torch.rand(3, 1, rows, 6) < 0.7
    given = torch.where(mask, 0.0, -torch.inf) if added else mask

    class Layer(nn.Module):
        def forward(self, hidden, *, seen):
            places = hidden[..., 0].long()
            columns = torch.stack([own[0][:, place] for own, place in zip(given, places, strict=True)])
            if rows > 1:
                columns = torch.stack([own[place] for own, place in zip(columns, places, strict=True)])
            assert torch.equal(seen[:, 0], columns)
            return hidden

    layer = Layer()
    layer.kept_share = 0.5
    assert torch.equal(_on_some(layer, tokens, seen=given), tokens)
    with pytest.raises(FrugalError, match=r"a tensor of shape \(3, 6\), which is no mask"):
        _on_some(layer, tokens, seen=torch.ones(3, 6))


def test_put_back_is_the_counterpart_of_pick():
    tokens = torch.randn(4, 7, 3)
    places = draw(tokens, 3)
    assert torch.equal(put_back(tokens, places, pick(tokens, places)), tokens)
    assert torch.equal(pick(tokens, places), tokens.gather(1, places[..., None].expand(-1, -1, 3)))


def formula(use, tokens, kept_in_layers):
    """FLOPs of a forward pass of one sample, where each layer works on so many tokens."""
    hidden, inside = TEXT["hidden"], TEXT["feed_forward"]
    layers = sum(2 * k * (4 * hidden**2 + 2 * hidden * inside) + 4 * k**2 * hidden for k in kept_in_layers)
    if use == "vit":
        return layers + 2 * tokens * 4 * hidden + 2 * hidden * 3
    return layers + 2 * tokens * hidden + 2 * hidden * 3


def counted(model, batch):
    """FLOPs of a pass of this batch, forward and backward, as torch's counter sees them while it runs."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as forward:
        loss = functional.cross_entropy(model(batch), torch.zeros(len(batch), dtype=torch.int64))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as backward:
        loss.backward()
    return forward.get_total_flops(), backward.get_total_flops()


@pytest.mark.parametrize("use", ["transformer", "vit", "bert"])
@pytest.mark.parametrize("strategy", ["token_drop", "patch_drop"])
def test_counted_flops_are_those_of_the_tokens_a_real_pass_works_on(use, strategy):
    if strategy == "patch_drop" and use != "vit":
        return
    model, batch = net(use), inputs(use, 5)
    made = prepared(strategy, model, use)
    shape, tokens = batch.shape[1:], 16 if use == "vit" else 20
    whole = pass_flops(model, shape, 3, dtype=batch.dtype)
    if strategy == "token_drop":
        made.work_on(5)
    else:
        model.kept_share = 0.3
    flops = pass_flops(model, shape, 3, dtype=batch.dtype)
    assert (5 * flops.forward, 5 * flops.backward) == counted(model.train(), batch)
    assert whole == pass_flops(net(use), shape, 3, dtype=batch.dtype)
    if use != "bert":  # which has layers of its own at the end
        kept = [tokens, 5, 5, tokens] if strategy == "token_drop" else [5] * 4
        assert flops.forward == formula(use, tokens, kept)
        assert whole.forward == formula(use, tokens, [tokens] * 4)


RECIPES = {"token_drop": {"initial": 0.25, "increment": 3, "until": 0.6}, "patch_drop": {"share": 0.7, "whole": 0.2}}


@pytest.mark.parametrize("use", RECIPES)
def test_a_training_executes_the_flops_of_the_tokens_of_each_step_and_counts_each_length_once(digits, use, monkeypatch):
    counts = []
    monkeypatch.setattr("frugal.training.state.pass_flops", lambda *a, **k: counts.append(k) or pass_flops(*a, **k))
    trainer = tiny.trainer(digits, tiny.spec(use, model=tiny.VIT, **RECIPES[use]))
    trainer.run()
    steps, sizes = trainer.ledger.steps, [b - a for a, b in cut(300, 32)] * 3
    assert steps == len(sizes)
    if use == "token_drop":  # by hand: 4 of 16 at first
        lengths = [min(16, int(4 + 12 * Fraction(step, steps) / Fraction(6, 10))) for step in range(steps)]
        lengths = [length if length == 16 else max(4, length - length % 3) for length in lengths]
        kept = [[16, length, length, 16] for length in lengths]
    else:
        lengths = [5 if step < 0.8 * steps else 16 for step in range(steps)]
        kept = [[length] * 4 for length in lengths]
    classes = 2 * 8 * 7  # ten of them, not three
    expected = sum(size * (formula("vit", 16, k) + classes) for size, k in zip(sizes, kept, strict=True))
    assert trainer.ledger.flops_forward == expected
    assert trainer.ledger.flops_backward > 1.5 * expected
    assert trainer.ledger.flops_scoring == 0
    assert trainer.flops_at(8).forward == formula("vit", 16, [16] * 4) + classes
    assert [row["flops_per_sample"] for row in trainer.history.rows] == [trainer.flops_at(8).forward] * 3
    assert len(counts) == len(set(lengths)), "each length once, and the whole net with the last"
    third = steps // 3
    means = [sum(lengths[epoch * third : (epoch + 1) * third]) / third for epoch in range(3)]
    assert [row["kept_tokens"] for row in trainer.history.rows] == pytest.approx(means)


def test_samples_that_are_scored_are_scored_by_the_whole_net(digits):
    parts = [{"use": "ast", "target": 0.5, "warmup": 0.1}, {"use": "patch_drop", "share": 0.5, "whole": 0}]
    trainer = tiny.trainer(digits, tiny.spec("combined", model=tiny.VIT, parts=parts))
    trainer.run()
    ledger, whole = trainer.ledger, trainer.flops_at(8)
    trainer.strategy.before_forward(trainer)
    half = trainer.flops_at(8)
    assert half.forward < 0.55 * whole.forward
    assert ledger.flops_forward == ledger.samples_backpropagated * half.forward
    assert ledger.flops_scoring > 0
    assert ledger.flops_scoring % whole.forward == 0


@pytest.mark.parametrize("use", RECIPES)
def test_tokens_are_left_out_beside_fewer_samples_and_weights_in_any_order(digits, use):
    others = [{"use": "sparse", "kernel": "scatter"}, {"use": "infobatch"}, {"use": "layer_drop"}, {"use": "narrow"}]
    for parts in ([{"use": use}, other] for other in others):  # narrow builds the net anew, and is listed last
        run = tiny.spec("combined", recipe={"epochs": 0.5}, model=tiny.VIT, parts=parts)
        trainer = tiny.trainer(digits, run)
        whole = trainer.flops_at(8).forward
        trainer.strategy.before_forward(trainer)
        assert trainer.flops_at(8).forward < whole
        trainer.strategy.after_step(trainer)
    trainer.run()
    assert trainer.ledger.flops_forward < trainer.ledger.samples_backpropagated * trainer.flops_at(8).forward


def test_what_a_combination_leaves_out_of_a_step_is_told_by_all_its_parts(digits):
    parts = [{"use": "layer_drop", "survival": 0.01}, {"use": "patch_drop"}]
    trainer = tiny.trainer(digits, tiny.spec("combined", model=tiny.VIT, parts=parts))
    whole, seen = trainer.flops_at(8).forward, set()
    for share in (0.25, 0.5, 1.0):
        trainer.strategy.strategies[1].kept = share
        for _ in range(8):
            trainer.strategy.before_forward(trainer)
            dropped = sum(not block.kept for block in trainer.strategy.strategies[0].blocks)
            if dropped < 4:  # where all four are gone, no token matters any more
                seen.add((dropped, share, trainer.flops_at(8).forward))
    assert len({flops for *_, flops in seen}) == len({(dropped, share) for dropped, share, _ in seen}) == len(seen) > 3
    trainer.strategy.after_step(trainer)
    assert trainer.strategy.variant() is None
    assert trainer.flops_at(8).forward == whole


def test_two_parts_that_leave_out_tokens_are_refused(digits):
    parts = [{"use": "token_drop"}, {"use": "patch_drop"}]
    with pytest.raises(FrugalError, match="token_drop and patch_drop both decide which tokens are left out"):
        registry.check("strategy", "combined", {"parts": parts}, "here")


def test_a_run_on_nets_without_tokens_is_refused_in_one_line(digits, tmp_path):
    for use, says in (("token_drop", "no layers of tokens"), ("patch_drop", "model cnn has none")):
        with pytest.raises(FrugalError, match=says):
            tiny.trainer(digits, tiny.spec(use))
        with pytest.raises(FrugalError, match="strategies.left: can't be trained on digits/cnn-tiny: .*" + says):
            kinds.plan_of(
                tmp_path / use,
                {"datasets": ["digits"], "models": ["cnn-tiny"]},
                {"full": {"use": "full"}, "left": {"use": use}},
            )


def test_texts_are_learnt_on_some_of_their_tokens(tmp_path):
    cache = kinds.cache("text", tmp_path)
    run = kinds.spec("text", "token_drop", initial=0.25, increment=10)
    deeper = {**run.model.parameters, "layers": 3}
    run = run.model_copy(update={"model": run.model.model_copy(update={"parameters": deeper})})
    trainer = tiny.trainer(cache, run)
    trainer.run()
    rows = trainer.history.rows
    assert rows[0]["kept_tokens"] < rows[1]["kept_tokens"] < rows[2]["kept_tokens"] <= 40
    assert trainer.ledger.flops_forward < trainer.ledger.samples_forwarded * trainer.flops_at(40).forward
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
