"""Sparse layers compute what a masked dense layer does, and hold only what they keep."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from frugal.errors import FrugalError
from frugal.measure.flops import pass_flops
from frugal.measure.weights import weights_of
from frugal.sparse import choice
from frugal.sparse.convert import coverage, kept_and_total, kernels_of, restore_kernels, sparse_layers, sparsify
from frugal.sparse.convolution import SparseConv2d
from frugal.sparse.layers import SparseLinear
from frugal.sparse.masked import Masked, masked_twin
from frugal.sparse.pattern import Pattern, parse_pattern

SPARSITIES = st.sampled_from([0.0, 0.3, 0.5, 0.9])
FEW = settings(max_examples=40, deadline=None)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def made(dense, pattern, sparsity, seed=0, kernel="auto"):
    kind = SparseConv2d if isinstance(dense, nn.Conv2d) else SparseLinear
    shape = (dense.weight.shape[0], dense.weight[0].numel())
    return kind(dense, "layer", pattern, pattern.draw(shape, sparsity, seeded(seed)), sparsity, kernel)


def kernels_for(pattern):
    return ["scatter", *(["csr"] if pattern.block == 1 else ["bsr", "gather"])]


def close(found, expected):
    """Within 1e-5 of the largest number."""
    return (found - expected).abs().max() <= 1e-5 * max(1.0, expected.abs().max().item())


def assert_same_passes(layer, kernel, x):
    masked = Masked(layer)
    x = x.clone().requires_grad_()
    y, expected = layer.run(kernel, x, layer.values), masked(x)
    dy = torch.randn(expected.shape, generator=seeded(1))
    dx, dvalues, dbias = torch.autograd.grad(y, [x, layer.values, layer.bias], dy)
    expected_dx, dense, expected_dbias = torch.autograd.grad(expected, [x, masked.weight, masked.bias], dy)
    assert y.shape == expected.shape
    assert close(y, expected)
    assert close(dx, expected_dx)
    assert close(dvalues, layer.gathered(layer.as_matrix(dense)))
    assert close(dbias, expected_dbias)


@FEW
@given(
    block=st.sampled_from([1, 2, 4, 8]),
    rows=st.integers(1, 6),
    columns=st.integers(1, 6),
    lead=st.lists(st.integers(1, 5), min_size=1, max_size=2),
    sparsity=SPARSITIES,
    seed=st.integers(0, 99),
)
def test_a_sparse_linear_layer_is_the_masked_dense_one(block, rows, columns, lead, sparsity, seed):
    torch.manual_seed(seed)
    pattern = Pattern(block)
    dense = nn.Linear(columns * block, rows * block)
    if pattern.kept((rows * block, columns * block), sparsity) == 0:
        return
    layer = made(dense, pattern, sparsity, seed)
    x = torch.randn(*lead, columns * block)
    for kernel in kernels_for(pattern):
        assert_same_passes(layer, kernel, x)


# The same shapes each time: torch's own dense convolution, the reference here, aborted once in its backward pass at a drawn one.
@settings(FEW, derandomize=True)
@given(
    block=st.sampled_from([1, 2, 4]),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    size=st.tuples(st.integers(3, 7), st.integers(3, 7)),
    side=st.sampled_from([1, 3]),
    stride=st.integers(1, 2),
    padding=st.integers(0, 1),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
    columns=st.sampled_from([1, 1 << 22]),
    sparsity=SPARSITIES,
)
def test_a_sparse_convolution_is_the_masked_dense_one(
    block, channels, size, side, stride, padding, layout, columns, sparsity
):
    torch.manual_seed(0)
    before, after = (block * n for n in channels)
    dense = nn.Conv2d(before, after, side, stride, padding).to(memory_format=layout)
    pattern = Pattern(block)
    if pattern.kept((after, before * side**2), sparsity) == 0:
        return
    layer = made(dense, pattern, sparsity)
    assert torch.equal(layer.as_weight(layer.as_matrix(dense.weight)), dense.weight)
    x = torch.randn(3, before, *size).contiguous(memory_format=layout)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("frugal.sparse.convolution.COLUMNS", columns)  # 1: one sample at a time
        for kernel in kernels_for(pattern):
            assert_same_passes(layer, kernel, x)


@given(
    rows=st.integers(1, 30), columns=st.integers(1, 30), sparsity=st.floats(0, 0.999), block=st.sampled_from([1, 2, 4])
)
def test_exactly_the_asked_share_is_kept_evenly_over_the_outputs(rows, columns, sparsity, block):
    pattern, shape = Pattern(block), (rows * block, columns * block)
    index = pattern.draw(shape, sparsity, seeded())
    assert len(index) == round((1 - sparsity) * rows * columns)
    assert len(index.unique()) == len(index)
    per_row = torch.bincount(index.long() // columns, minlength=rows)
    assert per_row.max() - per_row.min() <= 1
    assert index.dtype == torch.int32


@given(groups=st.integers(1, 20), rows=st.integers(1, 10))
def test_two_of_every_four_are_kept(groups, rows):
    shape, pattern = (rows, 4 * groups), parse_pattern("semi-structured-2-4")
    mask = pattern.dense(torch.ones(rows * 2 * groups), pattern.draw(shape, 0.5, seeded()), shape)
    assert (mask.view(-1, 4).sum(1) == 2).all()


@pytest.mark.parametrize(("name", "sparsity"), [("random", 0.5), ("random", 0.9), ("block-16x16", 0.5)])
def test_stored_bytes_are_those_of_the_kept_values_and_their_index(name, sparsity):
    """Weights, Adam's two moments and the gradient of one layer, beside 16 bytes per dense weight."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(256, 512, bias=False))
    pattern = parse_pattern(name)
    sparsify(model, pattern, sparsity, seeded(), skip=[], kernel="scatter")
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    model(torch.randn(4, 256)).sum().backward()
    optimizer.step()
    moments = sum(t.numel() * 4 for s in optimizer.state.values() for t in s.values() if t.numel() > 1)
    kept = round((1 - sparsity) * 256 * 512)
    gradient = sum(p.grad.numel() * 4 for p in model.parameters())
    index = 4 * kept // pattern.block**2
    assert weights_of(model).bytes + moments + gradient == pytest.approx(16 * kept + index, rel=0.05)
    assert (weights_of(model).parameters, weights_of(model).live) == (256 * 512, kept)
    assert kept_and_total(model) == (kept, 256 * 512)


def net():
    torch.manual_seed(0)
    body = [nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 16), nn.ReLU()]
    return nn.Sequential(*body, nn.Linear(16, 4))


@pytest.mark.parametrize("kernel", ["scatter", "sparse"])
@pytest.mark.parametrize("name", ["random", "block-4x4"])
def test_flops_executed_are_those_of_the_kernel_and_useful_ones_those_of_kept_weights(name, kernel):
    model = net()
    dense = pass_flops(model, (1, 8, 8), 4)
    sparsify(model, parse_pattern(name), 0.5, seeded(), kernel=kernel)
    model(torch.randn(2, 1, 8, 8))
    first, head = 2 * 36 * 8 * 9, 2 * 16 * 4
    covered = 2 * 16 * 8 * 72 // 2 + 2 * 128 * 16 // 2  # the second convolution's 16 positions, and the linear layer
    useful = pass_flops(model, (1, 8, 8), 4, useful=True)
    assert useful.forward == first + head + covered
    assert useful.backward == first + 2 * (head + covered)  # images need no gradient
    assert pass_flops(model, (1, 8, 8), 4) == (dense if kernel == "scatter" else useful)


def test_the_kernel_is_chosen_once_by_measurement_logged_and_restored():
    model, images = net(), torch.randn(2, 1, 8, 8)
    sparsify(model, parse_pattern("block-4x4"), 0.5, seeded())
    assert not kernels_of(model)
    model.eval()(images)
    assert not kernels_of(model), "evaluating chooses nothing"
    random = torch.get_rng_state()
    model.train()(images).sum().backward()
    assert torch.equal(random, torch.get_rng_state())
    chosen = kernels_of(model)
    assert set(chosen) == {"2", "5"}
    for kernel, why in chosen.values():
        assert kernel in ("bsr", "gather", "scatter")
        assert all(f"{other} " in why for other in ("bsr", "gather", "scatter"))
        assert " ms" in why
    other = net()
    sparsify(other, parse_pattern("block-4x4"), 0.5, seeded())
    restore_kernels(other, chosen)
    assert kernels_of(other) == chosen


def test_bfloat16_autocast_keeps_values_and_gradients_in_float32():
    for name in ("random", "block-4x4"):
        model = net()
        sparsify(model, parse_pattern(name), 0.5, seeded())
        for kernel in kernels_for(parse_pattern(name)):
            for layer in sparse_layers(model).values():
                layer.kernel = kernel
            with torch.autocast("cpu", torch.bfloat16):
                model(torch.randn(2, 1, 8, 8)).float().sum().backward()
            assert all(p.dtype == p.grad.dtype == torch.float32 for p in model.parameters())


@pytest.mark.parametrize("skip", [["0", "2", "7"], ["0", "7"]])
def test_layers_that_share_a_buffer_have_the_gradients_of_the_masked_net_each_time_they_are_asked(skip):
    model = net()
    sparsify(model, parse_pattern("random"), 0.5, seeded(), skip, kernel="scatter")
    masked, images = masked_twin(model), torch.randn(2, 1, 8, 8, requires_grad=True)
    sparse, dense = sparse_layers(model), dict(masked.named_modules())
    loss, expected = model(images).square().sum(), masked(images).square().sum()
    wanted, *weights = torch.autograd.grad(expected, [images, *(dense[name].weight for name in sparse)])
    for _ in range(2):  # what the first one left in the buffer is not taken for a weight
        inputs = [images, *(layer.values for layer in sparse.values())]
        found, *kept = torch.autograd.grad(loss, inputs, retain_graph=True)
        assert close(found, wanted)
        for layer, values, whole in zip(sparse.values(), kept, weights, strict=True):
            assert close(values, layer.gathered(layer.as_matrix(whole)))


def test_a_copy_computes_and_learns_apart():
    model = net()
    sparsify(model, parse_pattern("block-4x4"), 0.5, seeded(), kernel="sparse")
    images = torch.randn(2, 1, 8, 8)
    expected = model(images)
    twin, masked = copy.deepcopy(model), masked_twin(model)
    assert torch.equal(twin(images), expected)
    assert close(masked(images), expected)
    with torch.no_grad():
        for layer in sparse_layers(twin).values():
            layer.values.zero_()
    assert torch.equal(model(images), expected)


def test_what_stays_dense_is_said():
    note = coverage(net(), None).note
    assert note == "sparse: 2, 5; dense: 0 (first-conv), 7 (head), embeddings, norms and biases"
    assert list(coverage(net(), ["2", "head"]).covered) == ["0", "5"]
    assert list(coverage(net(), []).covered) == ["0", "2", "5", "7"]


@pytest.mark.parametrize(
    ("name", "sparsity", "options", "message"),
    [
        ("block-16x16", 0.5, {}, r"layer 2 is 8 x 72, .* choose a block of 4x4, 8x8, or add it to the strategy's skip"),
        ("random", 1.0, {}, r"sparsity is 1.0; it is the share of weights left out, at least 0 and below 1"),
        ("random", -0.1, {}, "at least 0 and below 1"),
        ("block-4x8", 0.5, {}, "unknown sparsity pattern 'block-4x8'; there are: random, block-BxB"),
        ("semi-structured-2-4", 0.5, {}, "needs a CUDA GPU"),
        ("semi-structured-2-4", 0.9, {}, "leaves out exactly 0.5"),
        ("random", 0.5, {"skip": ["convolution"]}, "no such layer; there are: first-conv, head, 0, 2, 5, 7"),
        ("random", 0.5, {"skip": ["*"]}, "no layer is left to be sparse"),
        ("block-8x8", 0.99, {}, "keeps nothing of 8 x 72"),
    ],
)
def test_bad_input_is_refused_in_one_line(name, sparsity, options, message):
    with pytest.raises(FrugalError, match=message) as raised:
        sparsify(net(), parse_pattern(name), sparsity, seeded(), **options)
    assert "\n" not in str(raised.value)


def test_a_kernel_that_runs_nowhere_is_refused(monkeypatch):
    layer = made(nn.Linear(4, 4), Pattern(), 0.5, kernel="sparse")
    monkeypatch.setattr(choice, "_milliseconds", lambda *_: (_ for _ in ()).throw(RuntimeError("no MKL")))
    monkeypatch.setattr(choice, "_measured", {})
    with pytest.raises(FrugalError, match=r"csr does not run here \(no MKL\); choose kernel: scatter"):
        layer(torch.ones(1, 4))


@pytest.mark.parametrize(
    ("other", "message"),
    [("block-4x4", "values of shape"), ("random", "at other positions"), (None, "it holds a dense weight")],
)
def test_a_checkpoint_of_another_pattern_is_refused(other, message):
    model, saved = net(), net()
    sparsify(model, parse_pattern("random"), 0.5, seeded(0))
    model.load_state_dict(copy.deepcopy(model.state_dict()))
    if other:
        sparsify(saved, parse_pattern(other), 0.5, seeded(1))
    with pytest.raises(FrugalError, match=f"the checkpoint is of another pattern: for layer 2.*{message}"):
        model.load_state_dict(saved.state_dict())
