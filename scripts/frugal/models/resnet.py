"""Residual nets for images of any size: ResNet-18 and ResNet-50 with the stem for CIFAR or ImageNet, and a small one.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, https://arxiv.org/abs/1512.03385. The blocks, their
initialisation and the names of the layers are torchvision's, so that its weights fit where width is 64, channels are 3 and
the stem is ImageNet's.
"""

from collections import OrderedDict
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge
from torch import Tensor, nn
from torch.nn import functional

from frugal.errors import FrugalError, needs_extra
from frugal.models.droppable import Droppable
from frugal.models.pretrained import MIRROR, TORCHVISION, load_weights, published
from frugal.parameters import File

with needs_extra("vision", "ResNets"):
    from torchvision.models.resnet import BasicBlock, Bottleneck, conv1x1

WIDTHS = {"width": 1}  # parameters that a narrower net shrinks, and what each must stay a multiple of
BLOCKS = True  # that can be left out of a training step: see `droppable`

# Blocks of each stage; every stage but the first halves the image and doubles the width. Depth 8 is the smallest of the
# paper's CIFAR family (6n + 2 layers in three stages), with 1x1 convolutions where a shortcut changes its shape.
DEPTHS = {8: (BasicBlock, [1, 1, 1]), 18: (BasicBlock, [2, 2, 2, 2]), 50: (Bottleneck, [3, 4, 6, 3])}


def build(
    shape: tuple[int, int, int],
    classes: int,
    *,
    depth: Literal[8, 18, 50] = 18,
    stem: Literal["cifar", "imagenet"] = "cifar",
    width: Annotated[int, Ge(1)] = 64,
    pretrained: Literal["none", "imagenet1k_v1", "imagenet1k_v2"] | File = "none",
    head: Literal["fit", "new", "keep"] = "fit",
    mirrors: list[str] | None = None,
) -> nn.Module:
    """A net for images (b, C, H, W) -> logits (b, classes). Raises FrugalError for a depth or weights that there aren't.

    shape: (C, H, W); depth: layers with weights; stem: cifar is a 3x3 convolution at full resolution, imagenet a 7x7 of
    stride 2 and 3x3 max-pooling; width: channels of the first stage
    pretrained: weights to start from, torchvision's by name or a .pth or .safetensors file of this very net; head: fit
    takes their last layer where it has as many classes, new never does, keep insists; mirrors: addresses that the names of
    torchvision's files are appended to (default: its own)
    """
    net = ResNet(shape[0], classes, *DEPTHS[depth], stem, width)
    if pretrained == "none":
        return net
    path = Path(pretrained)
    if pretrained.startswith("imagenet1k_"):
        file = TORCHVISION.get((depth, pretrained))
        if file is None or (shape[0], stem, width) != (3, "imagenet", 64):
            there = ", ".join(f"{name} of depth {layers}" for layers, name in TORCHVISION)
            raise FrugalError(
                f"there are no weights {pretrained} for depth {depth}, stem {stem}, width {width} and {shape[0]} channels; "
                f"there are {there}, each for stem imagenet, width 64 and 3 channels"
            )
        path = published(file, [MIRROR] if mirrors is None else mirrors)
    load_weights(net, path, "fc", head)
    return net


class ResNet(nn.Module):
    """torchvision's ResNet with a choice of stem, width and number of stages."""

    def __init__(
        self,
        channels: int,
        classes: int,
        block: type[BasicBlock | Bottleneck],
        blocks: list[int],
        stem: str,
        width: int,
    ):
        super().__init__()
        if stem == "cifar":
            self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
            self.maxpool = nn.Identity()
        else:
            self.conv1 = nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
            self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.stages = [f"layer{place + 1}" for place in range(len(blocks))]
        before = width
        for place, (name, count) in enumerate(zip(self.stages, blocks, strict=True)):
            planes = width * 2**place
            self.add_module(name, _stage(block, before, planes, count, stride=1 if place == 0 else 2))
            before = planes * block.expansion
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(before, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """images: (b, C, H, W) -> logits (b, classes)."""
        hidden = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        for name in self.stages:
            hidden = getattr(self, name)(hidden)
        return self.fc(self.avgpool(hidden).flatten(1))


def _stage(block: type[BasicBlock | Bottleneck], before: int, planes: int, count: int, stride: int) -> nn.Sequential:
    after = planes * block.expansion
    shortcut = None
    if stride != 1 or before != after:
        shortcut = nn.Sequential(conv1x1(before, after), nn.BatchNorm2d(after))
    if stride != 1:
        # Not a convolution of this stride: at some widths, such as 5, which pruning leaves behind, oneDNN's 1x1 convolution of
        # stride 2 writes past the end of its memory (torch 2.15, AVX2, channels last). The names stay torchvision's.
        shortcut = nn.Sequential(OrderedDict(pool=nn.AvgPool2d(1, stride), **dict(shortcut.named_children())))
    first = block(before, planes, stride, shortcut)
    return nn.Sequential(first, *(block(after, planes) for _ in range(count - 1)))


def droppable(net: nn.Module) -> list[nn.Module]:
    """Make the blocks of a net such that their branches can be left out, and return them from the front."""
    classes = {BasicBlock: DroppableBasicBlock, Bottleneck: DroppableBottleneck}
    blocks = [block for block in net.modules() if type(block) in classes]
    for block in blocks:
        block.__class__ = classes[type(block)]
    return blocks


class _DroppableBlock(Droppable):
    def forward(self, hidden: Tensor) -> Tensor:
        """hidden: (b, C, H, W) -> relu(branch + shortcut), or relu(shortcut), of the block's own shape."""
        shortcut = hidden if self.downsample is None else self.downsample(hidden)
        if self.dropped:
            # Not in place: that would change what the block before has saved for its gradient.
            return functional.relu(shortcut)
        return self.relu(self.scaled(self.branch(hidden)) + shortcut)


class DroppableBasicBlock(_DroppableBlock, BasicBlock):
    """torchvision's block of two 3x3 convolutions."""

    def branch(self, hidden: Tensor) -> Tensor:
        """What is added to the shortcut; hidden: (b, C, H, W)."""
        return self.bn2(self.conv2(self.relu(self.bn1(self.conv1(hidden)))))


class DroppableBottleneck(_DroppableBlock, Bottleneck):
    """torchvision's block of a 1x1, a 3x3 and a 1x1 convolution."""

    def branch(self, hidden: Tensor) -> Tensor:
        """What is added to the shortcut; hidden: (b, C, H, W)."""
        hidden = self.relu(self.bn1(self.conv1(hidden)))
        return self.bn3(self.conv3(self.relu(self.bn2(self.conv2(hidden)))))
