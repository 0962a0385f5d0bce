"""The encoder is the source's, looks at the text and at nothing else, and counts the work it does."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from frugal.errors import FrugalError
from frugal.measure.flops import pass_flops
from frugal.models import mlp, transformer, wave_cnn


def small(length=12, **parameters):
    torch.manual_seed(0)
    return transformer.build(
        (length,), 3, 50, **({"layers": 2, "heads": 2, "hidden": 8, "feed_forward": 16} | parameters)
    )


@settings(deadline=None, max_examples=40)
@given(
    texts=st.lists(st.lists(st.integers(1, 49), min_size=1, max_size=9), min_size=1, max_size=4), more=st.integers(0, 3)
)
def test_padding_changes_nothing(texts, more):
    model = small().eval()
    longest = max(map(len, texts)) + more
    together = torch.tensor([text + [0] * (longest - len(text)) for text in texts])
    with torch.no_grad():
        alone = torch.cat([model(torch.tensor([text])) for text in texts])
        torch.testing.assert_close(model(together), alone, atol=1e-5, rtol=1e-4)


def test_padding_gets_no_gradient_and_order_matters():
    model = small()
    model(torch.tensor([[3, 4, 5, 0, 0]])).square().sum().backward()
    assert not model.tokens.weight.grad[0].any()
    assert not model.positions.grad[3:].any()
    assert model.positions.grad[:3].any()
    model.eval()
    assert not torch.allclose(model(torch.tensor([[3, 4, 5]])), model(torch.tensor([[4, 3, 5]])), atol=1e-4)


@pytest.mark.parametrize(("layers", "heads", "hidden", "inside", "length"), [(6, 8, 512, 2048, 64), (1, 2, 8, 24, 5)])
def test_flops_and_weights_are_those_of_its_formula(layers, heads, hidden, inside, length):
    with torch.device("meta"):
        model = transformer.build((length,), 2, 1000, layers=layers, heads=heads, hidden=hidden, feed_forward=inside)
    layer = 4 * hidden * (hidden + 1) + hidden * (inside + 1) + inside * (hidden + 1) + 4 * hidden
    expected = (1000 + length) * hidden + layers * layer + 2 * hidden + 2 * (hidden + 1)
    assert sum(p.numel() for p in model.parameters()) == expected
    work = layers * (2 * length * (4 * hidden**2 + 2 * hidden * inside) + 4 * length**2 * hidden)
    pooled = 2 * length * hidden + 4 * hidden
    assert pass_flops(model, (length,), 2, dtype=torch.int64).forward == work + pooled
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    assert len(linear) == 6 * layers + 1  # what sparse layers and pruning can replace


def test_widths_that_heads_cannot_share_are_refused():
    with pytest.raises(FrugalError, match="hidden is 10 and heads 4; make hidden a multiple of heads"):
        small(heads=4, hidden=10)


@pytest.mark.parametrize(("net", "shape"), [(mlp, (7,)), (wave_cnn, (100,)), (wave_cnn, (8000,))])
def test_nets_for_tables_and_sound_take_their_samples(net, shape):
    model = net.build(shape, 5)
    logits = model(torch.randn(3, *shape))
    assert logits.shape == (3, 5)
    assert pass_flops(model, shape, 5).forward > 0
