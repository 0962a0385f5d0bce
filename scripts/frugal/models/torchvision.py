"""Any net for the classification of images that torchvision has, by its name there: `mobilenet_v3_small`, `convnext_tiny`.

TorchVision maintainers and contributors, "TorchVision: PyTorch's Computer Vision library", 2016,
https://pytorch.org/vision/stable/models.html. Its number of classes and of input channels is the data set's.
"""

import inspect
import sys
from collections.abc import Callable
from enum import Enum

import torch
from torch import nn

from frugal.errors import FrugalError, did_you_mean, needs_extra
from frugal.libraries import check_name
from frugal.models.fitting import check_channels, fetched, made, tried, with_channels, with_file, with_head
from frugal.parameters import File, Options

with needs_extra("vision", "nets of torchvision"):
    from torchvision import models

# What is known of a net by the beginning of its name: pixels per side that it needs, whether it takes one size only. These are
# all that don't take any size; a test tries them.
FAMILIES = {
    "alexnet": {"LEAST_SIZE": 63},
    "convnext_": {"LEAST_SIZE": 32},
    "densenet": {"LEAST_SIZE": 29},
    "googlenet": {"LEAST_SIZE": 15},
    "inception_": {"LEAST_SIZE": 75},
    "maxvit_": {"ONE_SIZE": True},
    "squeezenet1_0": {"LEAST_SIZE": 21},
    "squeezenet1_1": {"LEAST_SIZE": 17},
    "swin_": {"LEAST_SIZE": 4},
    "vgg": {"LEAST_SIZE": 32},
    "vit_": {"ONE_SIZE": True, "TOKEN_LAYERS": "encoder.layers"},
}
SETTINGS = {  # what a net is told beside: no second head, which gives more than logits in training, and torchvision's own start
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}


def build(
    shape: tuple[int, int, int],
    classes: int,
    *,
    name: str,
    pretrained: bool | File = False,
    options: Options | None = None,
) -> nn.Module:
    """A net for images (b, C, H, W) -> logits (b, classes). Raises FrugalError for a net, options or weights that there aren't.

    shape: (C, H, W); name: of the net in torchvision; pretrained: true for the weights that torchvision calls DEFAULT, which it
    downloads into its cache and verifies, or the path of a .pth or .safetensors file of this net; options: further keyword
    arguments of the net, such as {width_mult: 0.25}
    """
    who = f"{name} of torchvision"
    check_name("torchvision", "image", name, "model torchvision")
    decided = ["num_classes", "weights"]
    given = {**SETTINGS.get(name, {}), "weights": None}
    make = models.get_model_builder(name)
    _check_options(make, who, options or {})
    if name.startswith("vit_"):
        given["image_size"] = shape[1]
    if name.startswith("maxvit_"):
        given["input_size"] = shape[1:]
    given = {key: value for key, value in given.items() if key not in (options or {}) or key in decided}
    if pretrained is True:
        check_channels(shape[0], 3, who)
        given["weights"] = "DEFAULT"
        given.pop("init_weights", None)
        net = with_head(fetched(make, who, options, decided, **given), classes)
    else:
        net = made(make, who, options, decided, num_classes=classes, **given)
        net = with_file(net, pretrained, shape[0], who) if pretrained else with_channels(net, shape[0])
    return tried(net, torch.zeros(1, *shape), classes, who)


def _check_options(make: Callable, who: str, options: Options) -> None:
    """Raise FrugalError for a keyword that nothing in the net's file in torchvision takes; some nets pass over such a word."""
    inside = [
        one for one in vars(sys.modules[make.__module__]).values() if getattr(one, "__module__", "") == make.__module__
    ]
    functions = [one for one in inside if callable(one) and not (inspect.isclass(one) and issubclass(one, Enum))]
    known = {name for one in functions for name in inspect.signature(one).parameters} - {"self", "args", "kwargs"}
    for key in options:
        if key not in known:
            raise FrugalError(f"model {who} takes no {key!r}; {did_you_mean(key, sorted(known))}")
