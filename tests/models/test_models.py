"""Models are the published ones, take the images they say they take, and refuse the others in words."""

from pathlib import Path

import pytest
import torch
import yaml
from torch.nn import functional
from torchvision.models import resnet18, resnet50

from frugal import registry
from frugal.errors import FrugalError
from frugal.measure.flops import pass_flops
from frugal.models import cnn_fc, resnet

MODELS = yaml.safe_load((Path(__file__).parents[2] / "config/models.yaml").read_text())
FROM_SCRATCH = [  # nets for images that need no download
    name
    for name in MODELS
    if "pretrained" not in MODELS[name].get("parameters", {})
    and registry.data_kind("model", MODELS[name]["use"]) == "image"
]


def built(name, shape=(3, 32, 32), classes=10, device="cpu"):
    """A model of config/models.yaml."""
    use = MODELS[name]["use"]
    parameters = registry.check("model", use, MODELS[name].get("parameters", {}), name)
    with torch.device(device):
        return registry.load("model", use).build(shape, classes, **parameters)


def fitting(name, side):
    """As many pixels, or so many more that the model takes them."""
    use, given = MODELS[name]["use"], MODELS[name].get("parameters", {})
    patch = given.get(registry.patches(use), 1)
    return -(-max(registry.least_size(use), side) // patch) * patch


def weights(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "classes", "count"),
    [
        ("resnet-18", 10, 11_173_962),  # the published figures of the nets with the CIFAR stem
        ("resnet-18", 100, 11_220_132),
        ("resnet-50", 10, 23_520_842),
        ("resnet-50", 100, 23_705_252),
        ("resnet-8", 10, 78_042),
        ("resnet-18-slim", 10, 703_386),
        ("resnet-50-imagenet", 1000, 25_557_032),
        ("cnn-fc", 10, 2_473_610),
        ("airbench", 10, 1_972_792),
    ],
)
def test_nets_have_the_published_number_of_weights(name, classes, count):
    assert weights(built(name, classes=classes, device="meta")) == count


@pytest.mark.parametrize(("name", "macs"), [("resnet-18", 556e6), ("resnet-50", 1298e6)])
def test_nets_do_the_published_amount_of_work(name, macs):
    """Stride in the wrong place keeps the number of weights and changes this."""
    assert pass_flops(built(name, device="meta"), (3, 32, 32), 10).forward == pytest.approx(2 * macs, rel=0.01)


@pytest.mark.parametrize(("depth", "original"), [(18, resnet18), (50, resnet50)])
def test_with_the_imagenet_stem_it_is_torchvisions_net(depth, original):
    torch.manual_seed(0)
    theirs = original(num_classes=5).eval()
    torch.manual_seed(0)
    ours = resnet.build((3, 64, 64), 5, depth=depth, stem="imagenet").eval()
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=0)  # names and initial weights
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        # Not to the bit: our shortcuts halve the image before their 1x1 convolution, theirs within it.
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", FROM_SCRATCH)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 5), (2, 1, 1)])
def test_every_model_of_the_config_trains_on_small_images(name, shape):
    torch.manual_seed(0)
    shape = (shape[0], *(fitting(name, side) for side in shape[1:]))
    model = built(name, shape, 7)
    logits = model(torch.randn(3, *shape))
    assert logits.shape == (3, 7)
    functional.cross_entropy(logits, torch.tensor([0, 1, 6])).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.requires_grad)


@pytest.mark.parametrize("name", [name for name in FROM_SCRATCH if MODELS[name]["use"] != "cnn_fc"])
def test_nets_with_global_pooling_take_images_of_any_size(name):
    model = built(name, (1, 28, 28)).eval()
    with torch.inference_mode():
        side = fitting(name, 7)
        assert model(torch.randn(2, 1, side, side)).shape == (2, 10)


def test_the_net_with_linear_layers_refuses_another_size_in_words():
    model = cnn_fc.build((3, 32, 32), 10)
    with pytest.raises(
        FrugalError, match="built for 3x32x32 images and was given 3x16x16; .*choose a model with global"
    ):
        model(torch.zeros(1, 3, 16, 16))


def test_dropout_is_there_when_asked_for_and_only_while_training():
    torch.manual_seed(0)
    model, images = cnn_fc.build((3, 8, 8), 10, dropout=0.5), torch.randn(4, 3, 8, 8)
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))
    plain = cnn_fc.build((3, 8, 8), 10)
    assert torch.equal(plain(images), plain(images))


@pytest.mark.parametrize(
    ("use", "parameters", "says"),
    [
        ("resnet", {"depth": 34}, "depth is 34; input should be 8, 18 or 50"),
        ("resnet", {"stem": "cifr"}, "stem is 'cifr'"),
        ("resnet", {"width": 0}, "width is 0"),
        ("cnn_fc", {"dropout": 1}, "dropout is 1; input should be less than 1"),
        ("cnn_fc", {"hiden": 5}, "no parameter 'hiden'; did you mean hidden"),
    ],
)
def test_parameters_are_checked_before_anything_runs(use, parameters, says):
    with pytest.raises(FrugalError, match=says):
        registry.check("model", use, parameters, "models.yaml: mine")


@pytest.mark.parametrize("depth", [8, 18, 50])
def test_a_shortcut_halves_the_image_before_its_convolution_not_in_it(depth):
    """oneDNN's strided 1x1 convolution writes past its memory for widths that pruning leaves behind; see the model."""
    net = resnet.build((3, 8, 8), 3, depth=depth, width=8)
    pointwise = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size == (1, 1)]
    assert len(pointwise) >= 2
    assert {m.stride for m in pointwise} == {(1, 1)}
    assert "layer2.0.downsample.0.weight" in net.state_dict()
