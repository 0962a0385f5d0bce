"""What `make gpu` measures with, on a CPU: the plain loop of airbench and the float8 layer compute what they should, and what
is asked of the engine on which CPU.
"""

import copy

import pytest
import torch

import speedrun
from frugal.bench import airbench_loop, engine, generated, tensorcores
from frugal.bench.float8 import Float8Linear
from frugal.models import airbench
from frugal.training.trainer import Trainer


def test_the_plain_loop_ends_with_our_weights_on_the_same_batches(tmp_path, monkeypatch):
    """Optimizers, schedule, Lookahead, loss and the frozen bias, each written twice."""

    def orthogonal(matrix, *_):
        """What the iteration of Muon comes near to, without its roundings in bfloat16, which would hide a difference."""
        left, _, right = torch.linalg.svd(matrix.double(), full_matrices=False)
        return (left @ right).to(matrix.dtype)

    monkeypatch.setattr("torch.optim._muon._zeropower_via_newtonschulz", orthogonal)
    recipe = speedrun.planned(str(tmp_path / "r"), 1, None).run("cross", "cifar-10-49000", "airbench", "full", 0).recipe
    cache = generated.cache(tmp_path / "data", 300, (3, 12, 12))
    small = {"channels": [6, 8, 8]}
    spec = generated.spec("full", (3, 12, 12), "airbench", small)
    recipe = recipe.model_copy(update={"batch_size": 60, "epochs": 5, "precision": "float32", "test_time": None})
    trainer = Trainer(spec.model_copy(update={"recipe": recipe}), cache, torch.device("cpu"))
    first, batches, step = [], [], trainer._optimize

    def remembered(batch):
        first.append(copy.deepcopy(trainer.model.state_dict())) if not first else None
        batches.append((batch.inputs.clone(), batch.labels.clone()))
        step(batch)

    monkeypatch.setattr(trainer, "_optimize", remembered)
    trainer.run()
    assert len(batches) == 25
    net = airbench.build((3, 12, 12), 10, **small)
    net.load_state_dict(first[0])
    airbench_loop.fit(net, batches, 25, 5, bfloat16=False)
    for name, value in trainer.model.state_dict().items():
        torch.testing.assert_close(net.state_dict()[name], value, rtol=1e-3, atol=1e-5, msg=name)
        if name.endswith("weight") and "groups.0.0" in name:
            assert not torch.allclose(value, first[0][name], atol=1e-2)


def test_the_plain_loop_sees_each_sample_once_an_epoch_in_turns_one_way_and_the_other(monkeypatch):
    monkeypatch.setattr(airbench_loop, "BATCH", 16)
    ramp = torch.linspace(-1, 1, 12)  # the left end is dark
    images = (torch.arange(40) * 10.0)[:, None, None, None] + ramp.expand(40, 3, 12, 12)
    seen = list(airbench_loop.batches_of(images, torch.arange(40), 2, torch.Generator().manual_seed(0)))
    assert [len(labels) for _, labels in seen] == [16, 16, 8] * 2
    ways = []
    for epoch in (seen[:3], seen[3:]):
        pictures, labels = (torch.cat(part) for part in zip(*epoch, strict=True))
        assert torch.equal(labels.sort().values, torch.arange(40))
        assert torch.equal((pictures.mean((1, 2, 3)) / 10).round(), labels.float()), "a picture with its own label"
        ways.append((pictures[:, 0, 0, 3] > pictures[:, 0, 0, 8])[labels.argsort()])
    assert torch.equal(ways[0], ~ways[1])
    assert 0 < ways[0].sum() < 40


def test_a_float8_layer_has_the_gradients_of_a_linear_one_up_to_its_rounding():
    torch.manual_seed(0)
    layer, x, dy = Float8Linear(64, 32, bias=False), torch.randn(48, 64, requires_grad=True), torch.randn(48, 32)
    found = [layer(x), *torch.autograd.grad(layer(x), [x, layer.weight], dy)]
    y = torch.nn.functional.linear(x, layer.weight)
    for one, exact in zip(found, [y, *torch.autograd.grad(y, [x, layer.weight], dy)], strict=True):
        assert one.shape == exact.shape
        assert 0.005 < (one - exact).norm() / exact.norm() < 0.1


@pytest.mark.skipif(torch.cuda.is_available(), reason="about a device without tensor cores")
def test_figures_that_this_device_cannot_give_are_null_with_the_reason(tmp_path):
    rows = {row.what: row for row in tensorcores.measure(tmp_path)}
    without = [row for row in rows.values() if row.value is None]
    assert len(without) == 4
    assert all(row.why and row.met is None for row in without)
    assert 1 < next(row.value for row in rows.values() if "relative error" in row.what) < 6


@pytest.mark.parametrize(
    ("ground", "precision", "narrow", "flags", "asked"),
    [
        ("airbench", "auto", True, {"avx512_bf16", "amx_bf16"}, 1.4),
        ("airbench", "auto", True, {"avx512_bf16"}, 1.0),
        ("airbench", "auto", False, {"amx_bf16"}, 1.0),
        ("MNIST net", "auto", True, {"amx_bf16"}, 1.5),
        ("MNIST net", "float32", False, {"amx_bf16"}, 1.25),
    ],
)
def test_more_is_asked_of_the_engine_only_on_a_cpu_that_multiplies_matrices_of_bfloat16(
    ground, precision, narrow, flags, asked
):
    assert engine.GROUNDS[ground].target(precision, narrow, flags) == asked
