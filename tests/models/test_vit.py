"""The vision transformer is the published one but for what its simpler version leaves out, and sees every patch in its place."""

import pytest
import torch
from torch import nn

import kinds
from frugal.errors import FrugalError
from frugal.fit_checks import check_model
from frugal.measure.flops import pass_flops
from frugal.models import vit
from frugal.models.vit import positions
from frugal.pruning.tracing import trace
from frugal.sparse.convert import coverage


def small(shape=(1, 8, 12), **parameters):
    torch.manual_seed(0)
    given = {"patch": 4, "layers": 2, "heads": 2, "hidden": 8, "feed_forward": 16, **parameters}
    return vit.build(shape, 3, **given).eval()


@pytest.mark.parametrize(
    ("heads", "hidden", "weights", "macs"),
    [(6, 384, 22_050_664, 4.6e9), (12, 768, 86_567_656, 17.6e9)],  # the published figures of ViT-S/16 and ViT-B/16
)
def test_it_is_the_published_net_without_class_token_and_learned_positions(heads, hidden, weights, macs):
    with torch.device("meta"):
        net = vit.build((3, 224, 224), 1000, patch=16, layers=12, heads=heads, hidden=hidden, feed_forward=4 * hidden)
    assert sum(p.numel() for p in net.parameters()) == weights - (197 + 1) * hidden
    assert pass_flops(net, (3, 224, 224), 1000).forward == pytest.approx(2 * macs, rel=0.02)


@pytest.mark.parametrize(("side", "patch", "hidden", "inside", "layers"), [(32, 4, 48, 192, 6), (12, 3, 8, 24, 1)])
def test_flops_are_those_of_its_formula(side, patch, hidden, inside, layers):
    net = small((3, side, side), patch=patch, hidden=hidden, feed_forward=inside, layers=layers)
    count = (side // patch) ** 2
    work = layers * (2 * count * (4 * hidden**2 + 2 * hidden * inside) + 4 * count**2 * hidden)
    assert pass_flops(net, (3, side, side), 3).forward == work + 2 * count * 3 * patch**2 * hidden + 2 * hidden * 3


@pytest.mark.parametrize("hidden", [4, 6, 48])
def test_every_place_has_a_position_of_its_own_that_does_not_depend_on_the_size(hidden):
    table = positions(7, 9, hidden)
    assert table.shape == (7, 9, hidden)
    rows = table.flatten(0, 1)
    assert torch.cdist(rows, rows).add(torch.eye(63)).min() > 1e-3
    assert torch.equal(table[:3, :4], positions(3, 4, hidden))
    torch.testing.assert_close(table[2, 5, :4], torch.tensor([5, 5, 2, 2.0]).sin().where(
        torch.tensor([True, False, True, False]), torch.tensor([5, 5, 2, 2.0]).cos()
    ))  # fmt: skip


def test_the_place_of_a_patch_matters_and_all_patches_are_seen():
    net, image = small(), torch.randn(1, 1, 8, 12)
    swapped = torch.cat([image[..., 4:8], image[..., :4], image[..., 8:]], 3)
    assert not torch.allclose(net(image), net(swapped), atol=1e-4)
    image.requires_grad_()
    net(image).square().sum().backward()
    patches = image.grad.unfold(2, 4, 4).unfold(3, 4, 4).abs().amax((4, 5))
    assert (patches > 0).all()


def test_smaller_images_are_taken_and_others_refused_in_words():
    net = small()
    assert net(torch.randn(2, 1, 4, 8)).shape == (2, 3)
    with pytest.raises(FrugalError, match="patches of 4x4 pixels don't tile images of 8x10; choose a patch"):
        net(torch.randn(2, 1, 8, 10))
    with pytest.raises(FrugalError, match="built for images of 8x12 pixels or less and was given 12x12"):
        net(torch.randn(2, 1, 12, 12))
    for shape in ((1, 8, 10), (1, 3, 8), (1, 2, 2)):
        with pytest.raises(FrugalError, match="don't tile"):
            small(shape)
    with pytest.raises(FrugalError, match="hidden is 10 and heads 4; make hidden a multiple of heads"):
        small(heads=4, hidden=10)


def test_sparse_layers_and_pruning_find_what_they_can_replace():
    net = small()
    found = coverage(net, None)
    assert len(found.covered) == 6 * 2
    assert set(found.dense) == {"embedding", "head"}
    groups, _ = trace(net, torch.ones(2, 1, 8, 12))
    assert [(group.name, group.units, group.attention) for group in groups] == [
        (f"layers.{place}.{name}", units, f"layers.{place}.attention" if heads else None)
        for place in range(2)
        for name, units, heads in (("attention.query", 2, True), ("feed_forward.0", 16, False))
    ]
    assert isinstance(net.embedding, nn.Conv2d)


def test_a_data_set_that_patches_do_not_tile_is_refused_when_the_config_is_read(tmp_path):
    plan = kinds.plan_of(tmp_path, {"datasets": ["digits"], "models": ["vit-tiny"]})  # 8x8 pixels
    plan.datasets["digits"] = plan.datasets["digits"].model_copy(update={"shape": (1, 8, 6)})
    says = "here: model vit-tiny cuts images into patches of 4x4 pixels, which don't tile those of digits, 8x6; choose a patch"
    with pytest.raises(FrugalError, match=says):
        check_model(plan.resolver, "digits", "vit-tiny", "here")
