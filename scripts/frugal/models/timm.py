"""Any net for images that timm has, by its name there: `convnext_atto`, `vit_tiny_patch16_224`.

Wightman, "PyTorch Image Models", 2019, https://github.com/huggingface/pytorch-image-models. Its number of classes and of input
channels is the data set's, and so is the size of images where a net takes one size only.
"""

import torch
from torch import nn

from frugal.errors import needs_extra
from frugal.libraries import check_name
from frugal.models.fitting import check_channels, fetched, made, tried, with_file
from frugal.parameters import File, Options

with needs_extra("vision", "nets of timm"):
    import timm

ONE_SIZE = "unknown"  # of the many hundred that aren't listed
DEPTH = "depth"
FAMILIES = {  # what is known of a net by the beginning of its name; a test tries them
    "convnext": {"ONE_SIZE": False, "LEAST_SIZE": 32},
    "deit_": {"ONE_SIZE": True, "TOKEN_LAYERS": "blocks"},
    "densenet": {"ONE_SIZE": False, "LEAST_SIZE": 29},
    "efficientnet_": {"ONE_SIZE": False},
    "mobilenetv3_": {"ONE_SIZE": False},
    "regnetx_": {"ONE_SIZE": False},
    "regnety_": {"ONE_SIZE": False},
    "resnet": {"ONE_SIZE": False},
    "vit_": {"ONE_SIZE": True, "TOKEN_LAYERS": "blocks"},
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

    shape: (C, H, W); name: of the net in timm, with `.tag` for certain weights; pretrained: true for timm's weights, which it
    downloads into its cache, or the path of a .pth or .safetensors file of this net; options: further keyword arguments of the
    net, such as {depths: [1, 1, 2, 1], dims: [8, 16, 32, 64]}
    """
    who = f"{name} of timm"
    check_name("timm", "image", name, "model timm")
    decided = ["num_classes", "in_chans", "pretrained", "img_size"]
    given = {"model_name": name, "num_classes": classes, "in_chans": shape[0], "pretrained": pretrained is True}
    about = timm.models.get_pretrained_cfg(name, allow_unregistered=True)
    if about is not None and about.fixed_input_size:
        given["img_size"] = shape[1:]
    if pretrained is True:
        check_channels(shape[0], 3, who)
        net = fetched(timm.create_model, who, options, decided, **given)
    else:
        net = made(timm.create_model, who, options, decided, **given)
    net = with_file(net, pretrained, shape[0], who) if isinstance(pretrained, str) else net
    return tried(net, torch.zeros(1, *shape), classes, who)
