"""A net made sparse that keeps everything must compute, learn and weigh what the net it was made of does."""

import torch
from torch import Tensor

from frugal.measure.weights import weights_of
from frugal.sparse.convert import sparse_layers, sparsify
from frugal.sparse.pattern import Pattern


def tensors(output):
    """All tensors of floats in whatever a net returns."""
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    parts = output.values() if hasattr(output, "values") else output
    return [t for part in parts for t in tensors(part)] if isinstance(output, dict | tuple | list) else []


def gradients(model):
    """By name of the dense parameter, of every parameter that has one."""
    sparse = sparse_layers(model)
    found = {f"{name}.weight".lstrip("."): layer.as_weight(layer.scattered(layer.values.grad)) for name, layer in
             sparse.items() if layer.values.grad is not None}  # fmt: skip
    values = {id(layer.values) for layer in sparse.values()}
    rest = {name: p.grad for name, p in model.named_parameters() if id(p) not in values and p.grad is not None}
    return {**rest, **found}


def near(found, expected, tolerance):
    return found.shape == expected.shape and (
        found.numel() == 0 or (found - expected).abs().max() <= tolerance * max(1.0, expected.abs().max().item())
    )


def assert_same_function(make, *inputs, forward=None, kernel="auto", tolerance=1e-9, skip=(), **named):
    """make: () -> a net; forward: (net, *inputs) -> outputs, where it isn't a plain call; returns the converted net, the note.

    All in float64 and channels last, and with the same random numbers in both, so that dropout drops the same.

    Training: outputs, gradients of every parameter and of the inputs, outputs after a step of the optimizer, statistics.
    Evaluating, with and without gradients: outputs. Both: the number of parameters, and the bytes that are stored.
    """
    nets = []
    torch.set_default_dtype(torch.float64)  # not converted afterwards: weights would no longer share memory
    try:
        for _ in range(2):
            torch.manual_seed(0)
            nets.append(make().double())
    finally:
        torch.set_default_dtype(torch.float32)
    original, converted = nets
    if any(x.dim() == 4 for x in inputs):  # the layout of a run's images; dropout draws in the order of memory
        original, converted = (net.to(memory_format=torch.channels_last) for net in nets)
        inputs = [x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x for x in inputs]
    before = sum(p.numel() for p in converted.parameters())
    assert weights_of(converted).bytes == weights_of(original).bytes
    note = sparsify(converted, Pattern(), 0.0, torch.Generator().manual_seed(0), skip=list(skip), kernel=kernel)
    assert sum(p.numel() for p in converted.parameters()) == weights_of(converted).parameters == before
    index = sum(4 * layer.values.numel() for layer in sparse_layers(converted).values())
    assert weights_of(converted).bytes == weights_of(original).bytes + index

    def passed(net):
        own = [x.detach().clone().requires_grad_(x.is_floating_point() and x.dtype != torch.bool) for x in inputs]
        net.zero_grad()
        torch.manual_seed(1)
        outputs = tensors(forward(net, *own) if forward else net(*own, **named))
        torch.manual_seed(2)
        sum((output * torch.randn(output.shape)).sum() for output in outputs).backward()
        return outputs, [x.grad for x in own if x.grad is not None]

    for train in (True, False):
        optimizers = [torch.optim.SGD(net.train(train).parameters(), lr=1e-4) for net in nets]
        (wanted, wanted_dx), (found, found_dx) = passed(original), passed(converted)
        assert wanted
        for one, other in zip([*found, *found_dx], [*wanted, *wanted_dx], strict=True):
            assert near(one, other, tolerance), f"training {train}: by {(one - other).abs().max()}"
        expected, got = gradients(original), gradients(converted)
        assert got.keys() == expected.keys()
        for name, gradient in expected.items():
            assert near(got[name], gradient, tolerance), f"training {train}: gradient of {name}"
        for optimizer in optimizers:
            optimizer.step()
        with torch.no_grad():
            for net in nets:
                net.eval()
            torch.manual_seed(3)
            wanted = tensors(forward(original, *inputs) if forward else original(*inputs, **named))
            torch.manual_seed(3)
            found = tensors(forward(converted, *inputs) if forward else converted(*inputs, **named))
        for one, other in zip(found, wanted, strict=True):
            assert near(one, other, tolerance), f"a step after training {train}: by {(one - other).abs().max()}"
    statistics = dict(converted.named_buffers())
    for name, buffer in original.named_buffers():
        assert near(statistics[name].double(), buffer.double(), tolerance), name
    return converted, note
