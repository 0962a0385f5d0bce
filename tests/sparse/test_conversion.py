"""Anybody's net: made sparse it computes what it did, or a layer stays dense and the record says why."""

import copy
import io
import pickle

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from frugal.errors import FrugalError
from frugal.measure.flops import pass_flops
from frugal.measure.weights import optimizer_bytes, weights_of
from frugal.models import bert, cnn, cnn_fc, mlp, resnet, transformer
from frugal.sparse.convert import coverage, kernel_notes, kernels_of, restore_kernels, sparse_layers, sparsify
from frugal.sparse.dynamic import rewire
from frugal.sparse.masked import masked_twin
from frugal.sparse.pattern import Pattern
from same_function import assert_same_function, gradients

IMAGES, ROWS, TOKENS = (2, 4, 8, 8), (3, 8), torch.randint(1, 30, (2, 6), generator=torch.Generator().manual_seed(0))


def drawn(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def halved(model, sparsity=0.5, **options):
    options = {"skip": [], "kernel": "scatter", **options}
    return sparsify(model, Pattern(), sparsity, torch.Generator().manual_seed(0), **options)


class Net(nn.Module):
    """Layers by name, and what they compute: a function of the net and its input."""

    def __init__(self, compute, **layers):
        super().__init__()
        self.compute = compute
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x, *others):
        return self.compute(self, x, *others)


def tied_language_model():
    net = Net(lambda n, x: n.head(n.body(n.tokens(x))), tokens=nn.Embedding(30, 8), body=nn.Linear(8, 8),
              head=nn.Linear(8, 30, bias=False))  # fmt: skip
    net.head.weight = net.tokens.weight
    return net


def tied_layers():
    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8))
    net[2].weight, net[3].bias = net[0].weight, net[4].bias
    return net


def tied_in_memory():
    net = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8))
    net[1].weight = nn.Parameter(net[0].weight)
    return net


def used_twice():
    layer = nn.Linear(8, 8)
    return Net(lambda n, x: n.b(n.a(n.a(x)).relu()), a=layer, b=layer)


def under_two_parents():
    layer = nn.Conv2d(4, 4, 3, padding=1)
    return nn.Sequential(nn.Sequential(layer, nn.ReLU()), nn.Sequential(nn.Conv2d(4, 4, 1), layer))


def referred_to_by_a_list():
    net = Net(lambda n, x: n.order[1](n.order[0](x)), a=nn.Linear(8, 8), b=nn.Linear(8, 8))
    net.order = [net.b, net.a]
    return net


def read_by_others():
    def compute(net, x):
        return functional.linear(net.a(x).relu(), net.b.weight, net.b.bias)

    return Net(compute, a=nn.Linear(8, 8), b=nn.Linear(8, 8))


def convolution_read_by_others():
    def compute(net, x):
        return functional.conv2d(net.a(x), net.b.weight, net.b.bias, stride=2) + net.b(x)[:, :, ::2, ::2]

    return Net(compute, a=nn.Conv2d(4, 4, 1), b=nn.Conv2d(4, 4, 1))


def hooked():
    net = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8))
    net[0].register_forward_hook(lambda module, x, y: y * 2)
    net[1].register_forward_pre_hook(lambda module, x: (x[0] + 1,))
    return net


def frozen():
    net = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    net[0].requires_grad_(False)
    return net


class Standardised(nn.Conv2d):
    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return functional.conv2d(x, weight, self.bias)


class Conv1D(nn.Linear):
    """Has the name of GPT-2's layer, and nothing else of it."""

    def forward(self, x):
        return functional.linear(x, self.weight.abs(), self.bias)


class Scaled(nn.Linear):
    """Only begins in another way."""

    def reset_parameters(self):
        nn.init.normal_(self.weight, std=0.1)
        nn.init.zeros_(self.bias)


def attention(**options):
    return nn.TransformerEncoderLayer(8, 2, 16, **options)


WEIGHTED = {
    "weight_norm": nn.utils.weight_norm,
    "parametrized weight_norm": parametrizations.weight_norm,
    "spectral_norm": nn.utils.spectral_norm,
    "parametrized spectral_norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
}
# Per net: how it is made, its inputs, what the note says of it.
NETS = {
    "tied language model": (tied_language_model, [TOKENS], "head (tied: tokens.weight = head.weight)"),
    "tied layers": (tied_layers, [drawn(*ROWS)], "0 (tied: 0.weight = 2.weight)"),
    "tied in memory": (tied_in_memory, [drawn(*ROWS)], "1 (tied: 0.weight = 1.weight)"),
    "used twice": (used_twice, [drawn(*ROWS)], "sparse: a = b; "),
    "under two parents": (under_two_parents, [drawn(*IMAGES)], "sparse: 0.0 = 1.1, 1.0; "),
    "referred to by a list": (referred_to_by_a_list, [drawn(*ROWS)], "sparse: a, b; "),
    "read by others": (read_by_others, [drawn(*ROWS)], "sparse: a, b; "),
    "convolution read by others": (convolution_read_by_others, [drawn(*IMAGES)], "sparse: a, b; "),
    "hooked": (hooked, [drawn(*ROWS)], "sparse: 2; dense: 0 (hooks are registered on it), 1 (hooks"),
    "frozen": (frozen, [drawn(*ROWS)], "sparse: 1; dense: 0 (frozen)"),
    "own forward": (lambda: nn.Sequential(Standardised(4, 4, 3), nn.Conv2d(4, 4, 1)), [drawn(*IMAGES)],
                    "sparse: 1; dense: 0 (a Standardised, which is a Conv2d with code of its own)"),
    "own forward, known name": (
        lambda: nn.Sequential(Conv1D(8, 8), nn.Linear(8, 8)), [drawn(*ROWS)],
        "sparse: 1; dense: 0 (a Conv1D, which is a Linear with code of its own)",
    ),
    "own start": (lambda: nn.Sequential(Scaled(8, 8)), [drawn(*ROWS)], "sparse: 0; "),
    "one sample without a batch": (lambda: nn.Sequential(nn.Linear(8, 4)), [drawn(8)], "sparse: 0; "),
    "one image without a batch": (lambda: nn.Sequential(nn.Conv2d(4, 4, 3)), [drawn(4, 8, 8)], "sparse: 0; "),
    "a net that is one layer": (lambda: nn.Linear(8, 4), [drawn(*ROWS)], "sparse: "),
    "no sample": (lambda: nn.Sequential(nn.Linear(8, 4)), [drawn(0, 8)], "sparse: 0; "),
    "same padding": (lambda: nn.Sequential(nn.Conv2d(4, 4, 3, padding="same", dilation=2)), [drawn(*IMAGES)], "sparse: 0;"),
    "valid padding": (lambda: nn.Sequential(nn.Conv2d(4, 4, 3, padding="valid")), [drawn(*IMAGES)], "sparse: 0; "),
    "uneven padding": (lambda: nn.Sequential(nn.Conv2d(4, 4, 2, padding="same"), nn.Conv2d(4, 4, 1)), [drawn(*IMAGES)],
                       "sparse: 1; dense: 0 (padding same of zeros)"),
    "dilated": (lambda: nn.Sequential(nn.Conv2d(4, 6, (3, 2), 2, 1, 2)), [drawn(*IMAGES)], "sparse: 0; "),
    "grouped": (lambda: nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 4, 1)), [drawn(*IMAGES)],
                "sparse: 1; dense: 0 (a grouped convolution)"),
    "transposed": (lambda: nn.Sequential(nn.ConvTranspose2d(4, 4, 3), nn.Conv2d(4, 4, 1)), [drawn(*IMAGES)],
                   "sparse: 1; dense: 0 (a transposed convolution)"),
    "circular": (lambda: nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"), nn.Conv2d(4, 4, 1)),
                 [drawn(*IMAGES)], "sparse: 1; dense: 0 (padding (1, 1) of circular)"),
    "reflected": (lambda: nn.Sequential(nn.Conv2d(4, 4, 3, padding="same", padding_mode="reflect"), nn.Conv2d(4, 4, 1)),
                  [drawn(*IMAGES)], "sparse: 1; dense: 0 (padding same of reflect)"),
    "recurrent": (lambda: Net(lambda n, x: n.head(n.body(x)[0]), body=nn.LSTM(8, 6), head=nn.Linear(6, 3)), [drawn(4, 2, 8)],
                  "sparse: head; dense: body.weight_ih_l0 (a weight of LSTM), body.weight_hh_l0"),
    **{f"{name} on {kind.__name__}": (
        lambda change=change, kind=kind, size=size: nn.Sequential(change(kind(*size)), kind(*size)), [x],
        "sparse: 1; dense: 0 (its weight is computed from ") for name, change in WEIGHTED.items()
       for kind, size, x in ((nn.Linear, (8, 8), drawn(*ROWS)), (nn.Conv2d, (4, 4, 3), drawn(*IMAGES)))},
}  # fmt: skip


@pytest.mark.parametrize("kernel", ["scatter", "sparse"])
@pytest.mark.parametrize("name", NETS)
def test_a_net_that_keeps_everything_computes_learns_and_weighs_what_it_did(name, kernel):
    make, inputs, told = NETS[name]
    converted, note = assert_same_function(make, *inputs, kernel=kernel)
    assert told in note
    if "=" not in told:
        pickle.loads(pickle.dumps(sparse_layers(converted)))


MASKS = {
    "no mask": {},
    "padding": {"src_key_padding_mask": torch.tensor([[False] * 5, [False] * 3 + [True] * 2])},
    "causal": {"src_mask": nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)},
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(
    "options", [{"batch_first": True}, {"batch_first": False}, {"batch_first": True, "norm_first": True}]
)
def test_torchs_transformer_computes_the_same_in_training_and_in_its_fast_path(options, mask):
    x = drawn(2, 5, 8) if options["batch_first"] else drawn(5, 2, 8)
    converted, note = assert_same_function(lambda: attention(**options), x, **MASKS[mask])
    assert note.startswith(
        "sparse: linear1, linear2; dense: self_attn.out_proj (nn.MultiheadAttention computes with its weight), "
        "self_attn.in_proj_weight (a weight of MultiheadAttention)"
    )
    names = {"src_mask": "mask"}
    masks = {names.get(name, name): value for name, value in MASKS[mask].items()}
    assert_same_function(lambda: nn.TransformerEncoder(attention(**options), 2, enable_nested_tensor=False), x, **masks)
    assert sparse_layers(converted)["linear1"].kernel, "called in training, not read"


@pytest.mark.parametrize(
    "options", [{"batch_first": True}, {"kdim": 6, "vdim": 4}, {"add_bias_kv": True, "bias": False}]
)
def test_multihead_attention_stays_dense_and_is_named(options):
    def made():
        return Net(lambda n, q, k, v: n.after(n.attend(q, k, v)[0]), attend=nn.MultiheadAttention(8, 2, **options),
                   after=nn.Linear(8, 8))  # fmt: skip

    k, v = options.get("kdim", 8), options.get("vdim", 8)
    _, note = assert_same_function(made, drawn(3, 3, 8), drawn(3, 3, k), drawn(3, 3, v))
    assert note.startswith(
        "sparse: after; dense: attend.out_proj (nn.MultiheadAttention computes with its weight), attend."
    )


OWN = {
    "cnn": lambda: (cnn.build((1, 8, 8), 4, channels=[8, 8]), drawn(2, 1, 8, 8)),
    "cnn_fc": lambda: (cnn_fc.build((1, 8, 8), 4), drawn(2, 1, 8, 8)),
    "mlp": lambda: (mlp.build((30,), 2, hidden=[16, 8], dropout=0.2), drawn(3, 30)),
    "resnet": lambda: (resnet.build((3, 16, 16), 4, depth=8), drawn(2, 3, 16, 16)),
    "transformer": lambda: (transformer.build((6,), 2, 30, layers=1, heads=2, hidden=8, feed_forward=16), TOKENS),
    "bert": lambda: (bert.build((6,), 2, 30, layers=1, heads=2, hidden=8, feed_forward=16), TOKENS),
}  # fmt: skip


@pytest.mark.parametrize("name", OWN)
def test_our_own_models_compute_the_same(name):
    torch.manual_seed(0)
    _, note = assert_same_function(lambda: OWN[name]()[0], OWN[name]()[1], skip=["head"])
    assert not note.startswith("sparse: ;")


@pytest.mark.parametrize(
    ("name", "size", "dense"),
    [
        ("mobilenet_v3_small", 32, "a grouped convolution"),
        ("squeezenet1_1", 32, "first-conv"),
        ("shufflenet_v2_x0_5", 32, "a grouped convolution"),
        ("vit_tiny", 32, "nn.MultiheadAttention computes with its weight"),
        ("swin_tiny", 32, "first-conv"),
    ],
)
def test_torchvisions_nets_compute_the_same(name, size, dense):
    made = {
        "vit_tiny": lambda: torchvision.models.VisionTransformer(32, 16, 1, 2, 16, 32, num_classes=4),
        "swin_tiny": lambda: torchvision.models.SwinTransformer([4, 4], 16, [1, 1], [2, 2], [4, 4], num_classes=4),
    }
    make = made.get(name) or (lambda: getattr(torchvision.models, name)(num_classes=4))
    _, note = assert_same_function(make, drawn(2, 3, size, size), skip=["first-conv"], tolerance=1e-7)
    assert f"({dense})" in note


def test_transformers_nets_compute_the_same_and_gpt2s_layers_are_sparse():
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=30, n_positions=16, n_embd=8, n_layer=1, n_head=2, use_cache=False)
    converted, note = assert_same_function(lambda: GPT2LMHeadModel(config), TOKENS, kernel="sparse")
    assert "sparse: transformer.h.0.attn.c_attn, " in note
    assert "lm_head (tied: transformer.wte.weight = lm_head.weight)" in note
    half = GPT2LMHeadModel(config).double()
    halved(half)
    twin = masked_twin(half)
    assert torch.allclose(half.eval()(TOKENS).logits, twin.eval()(TOKENS).logits)


@pytest.mark.parametrize("make", [used_twice, read_by_others, under_two_parents])
def test_half_of_a_layer_used_in_several_places_is_the_masked_one_in_all_of_them(make):
    torch.manual_seed(0)
    model = make().double()
    halved(model)
    twin = masked_twin(model)
    x = drawn(*(IMAGES if make is under_two_parents else ROWS))
    y, expected = model(x), twin(x)
    assert torch.allclose(y, expected)
    y.square().sum().backward(), expected.square().sum().backward()
    dense = {name: p.grad for name, p in twin.named_parameters()}
    for name, layer in sparse_layers(model).items():
        assert torch.allclose(layer.gathered(layer.as_matrix(dense[f"{name}.weight"])), layer.values.grad)


@settings(max_examples=20, deadline=None)
@given(kernel=st.sampled_from(["scatter", "sparse"]), read=st.booleans(), sparsity=st.sampled_from([0.3, 0.6, 0.9]))
def test_weights_grow_by_the_gradient_of_all_uses_of_a_layer(kernel, read, sparsity):
    torch.manual_seed(0)
    model = (read_by_others if read else used_twice)().double()
    halved(model, sparsity, kernel=kernel, dynamic=True)
    twin, x = masked_twin(model), drawn(*ROWS)
    for net in (model, twin):
        net.zero_grad()
    name = "b" if read else "a"
    layer, dense = sparse_layers(model)[name], dict(twin.named_modules())[name]
    dense.mask.fill_(1)  # so that the gradient of the weights left out is known too: they are zero
    with torch.no_grad():
        dense.weight.mul_(layer.as_weight(layer.scattered(torch.ones_like(layer.values))))
    layer.grow = 4
    model(x).square().sum().backward(), twin(x).square().sum().backward()
    sizes = dense.weight.grad.abs().flatten()
    sizes[layer.index.long()] = -1
    assert torch.equal(layer.candidates[0].long().sort().values, sizes.topk(4).indices.sort().values)
    rewire(layer, torch.optim.SGD(model.parameters(), lr=0.1))
    assert layer._summed is None


def test_what_is_reported_counts_a_tied_weight_and_a_shared_layer_once():
    tied, shared = tied_language_model(), used_twice()
    halved(tied), halved(shared)
    assert (weights_of(tied).parameters, weights_of(tied).live) == (30 * 8 + 8 * 8 + 8, 30 * 8 + 32 + 8)
    assert weights_of(tied).bytes == 4 * (30 * 8 + 32 + 8) + 4 * 32
    assert (weights_of(shared).parameters, weights_of(shared).live) == (8 * 8 + 8, 32 + 8)
    assert weights_of(shared).bytes == 4 * (32 + 8) + 4 * 32
    optimizer = torch.optim.SGD(tied.parameters(), lr=0.1, momentum=0.9)
    tied(TOKENS).sum().backward()
    optimizer.step()
    assert optimizer_bytes(optimizer) == 4 * (30 * 8 + 32 + 8)
    assert tied.head.weight is tied.tokens.weight


def test_flops_of_a_weight_that_another_module_reads_are_those_it_executes():
    model = read_by_others()
    dense = pass_flops(model, (8,), 8)
    halved(model, kernel="sparse")
    model(torch.randn(3, 8)).sum().backward()
    assert pass_flops(model, (8,), 8).forward == dense.forward // 4 * 3  # half of one layer is not multiplied
    assert kernel_notes(model)[1] == "b: another module computes with its weight, as with a dense one"
    other = read_by_others()
    halved(other, kernel="sparse")
    restore_kernels(other, kernels_of(model))
    assert kernel_notes(other) == kernel_notes(model)
    assert sparse_layers(other)["b"].kernel is None


@pytest.mark.parametrize("name", ["used twice", "tied layers", "tied language model", "read by others", "frozen"])
def test_copies_pickles_and_checkpoints_go_on_as_the_net_itself(name):
    make, (x,), _ = NETS[name]

    def step(net):
        net.zero_grad()
        net(x).square().sum().backward()
        with torch.no_grad():
            for p in net.parameters():
                p -= 0.01 * (0 if p.grad is None else p.grad)
        return net(x)

    torch.manual_seed(0)
    model = make().double()
    halved(model)
    step(model)
    saved = io.BytesIO()
    torch.save(model.state_dict(), saved)
    saved.seek(0)
    loaded = make().double()
    halved(loaded)
    loaded.load_state_dict(torch.load(saved))
    expected_parameters = sum(p.numel() for p in model.parameters())
    twins = [loaded, copy.deepcopy(model)]
    expected = step(model)
    for twin in twins:
        assert torch.equal(step(twin), expected)
        assert sum(p.numel() for p in twin.parameters()) == expected_parameters


def test_a_converted_net_is_pickled_whole():
    model = nn.Sequential(nn.Linear(8, 8), nn.Conv2d(4, 4, 3))
    halved(model)
    loaded = pickle.loads(pickle.dumps(model))
    assert torch.equal(loaded[0](torch.ones(1, 8)), model[0](torch.ones(1, 8)))
    assert type(loaded[1]) is type(model[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kernel", ["scatter", "sparse"])
@pytest.mark.parametrize("block", [1, 4])
def test_a_whole_net_in_half_precision_computes_in_it(dtype, kernel, block):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    sparsify(model, Pattern(block), 0.5, torch.Generator().manual_seed(0), skip=[], kernel=kernel)
    x = torch.randn(3, 8)
    expected = model(x)
    model.to(dtype)  # also after a kernel was chosen
    y = model(x.to(dtype))
    y.sum().backward()
    assert y.dtype == dtype
    assert all(p.grad.dtype == dtype for p in model.parameters())
    assert torch.allclose(y.float(), expected, atol=0.05)


def test_a_layer_keeps_its_mode_and_its_attributes():
    model = nn.Sequential(nn.Linear(8, 4), nn.Conv2d(4, 4, 3, stride=2)).eval()
    model[0].rate = 0.1
    halved(model)
    assert not model[0].training
    assert (model[0].in_features, model[0].rate, model[1].stride, model[1].kernel_size) == (8, 0.1, (2, 2), (3, 3))


def test_a_layer_frozen_later_stays_as_it_is_while_others_move():
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    halved(model, dynamic=True)
    model[1].requires_grad_(False)
    for layer in sparse_layers(model).values():
        layer.grow = 4
    model(torch.randn(3, 8)).square().sum().backward()
    assert model[0].candidates is not None
    assert model[1].candidates is None
    assert "values" not in {n for n, p in model[1].named_parameters() if p.grad is not None}


def test_layers_of_unknown_size_or_of_none_and_names_already_taken_stay_dense():
    model = nn.Sequential(
        nn.LazyLinear(8), nn.Linear(8, 8), nn.Linear(8, 0), nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
    )
    model[3].pattern = "mine"
    model[4].forward = lambda x: x
    model[5].register_buffer("scale", torch.ones(1))
    assert coverage(model, []).note.startswith(
        "sparse: 1; dense: 0 (not initialised, so of unknown size), 2 (without weights), "
        "3 (it has an attribute pattern of its own), 4 (it has an attribute forward of its own), 5 (it also holds scale)"
    )


@pytest.mark.parametrize(
    ("make", "skip", "message"),
    [
        (lambda: nn.Sequential(nn.Conv1d(4, 4, 3), nn.Conv1d(4, 4, 3)), [],
         "model wave: no layer is left to be sparse: 0 and 1 more (a convolution over one axis); choose another model"),
        (lambda: nn.Sequential(nn.ReLU()), [], "model wave: .* it has no linear layer and no convolution; choose another"),
        (lambda: nn.Sequential(nn.LSTM(4, 4)), [], r"model wave: .* 0.weight_ih_l0 and 1 more \(a weight of LSTM\)"),
        (lambda: nn.Sequential(nn.Linear(4, 4)), ["head"], r"model wave: .* 0 \(head\); skip fewer of them"),
    ],
)  # fmt: skip
def test_a_net_with_nothing_to_make_sparse_is_named_in_one_line(make, skip, message):
    with pytest.raises(
        FrugalError, match=message.replace("(a conv", r"\(a conv").replace("axis)", r"axis\)")
    ) as raised:
        sparsify(make(), Pattern(), 0.5, torch.Generator(), skip, called="wave")
    assert "\n" not in str(raised.value)


def test_a_layer_is_skipped_by_any_of_its_names():
    assert list(coverage(nn.Sequential(used_twice(), nn.Linear(8, 8)), ["0.b"]).covered) == ["1"]


def test_gradients_by_name_are_found_for_every_layer():
    """Of the helper itself: a gradient it left out would be compared with nothing."""
    model = used_twice()
    halved(model, 0.0)
    model(torch.ones(1, 8)).sum().backward()
    assert set(gradients(model)) == {"a.weight", "a.bias"}
