"""The small net of the fastest trainings on CIFAR-10: a whitening layer, then three groups of two convolutions.

Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024, https://arxiv.org/abs/2404.00498, its airbench94. What makes
it learn quickly are its initial values: the first layer whitens 2x2 patches of the training images and stays as it is, and
every other convolution begins with filters that pass their inputs on.
"""

from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from torch import Tensor, nn
from torch.nn import functional

from frugal.errors import FrugalError

WIDTHS = {"channels": 1}  # parameters that a narrower net shrinks, and what each must stay a multiple of
LEAST_SIZE = 9  # pixels per side: 8 patches, of which three groups leave one
PATCH = 2  # pixels per side that the first layer whitens
AT_ONCE = 500  # images whose patches lie in memory at a time


def build(
    shape: tuple[int, int, int],
    classes: int,
    *,
    channels: Annotated[list[Annotated[int, Ge(1)]], MinLen(3), MaxLen(3)] = [64, 256, 256],  # noqa: B006
    momentum: Annotated[float, Ge(0), Le(1)] = 0.6,
    bias_epochs: Annotated[int, Ge(0)] = 3,
    epsilon: Annotated[float, Gt(0)] = 5e-4,
    divisor: Annotated[float, Gt(0)] = 9.0,
) -> nn.Module:
    """A net for images (b, C, H, W) -> logits (b, classes). Raises FrugalError for images that are too small for it.

    shape: (C, H, W); channels: of each group, which halves the image, rounding down; momentum: share of the old value that a
    running statistic keeps; bias_epochs: for which the bias of the first layer is trained; epsilon: added to the variances
    that the first layer divides by, of normalised pixels; divisor: of the logits
    """
    return Airbench(shape, classes, channels, momentum, bias_epochs, epsilon, divisor)


class Airbench(nn.Module):
    """The net; `initialise` and `start_epoch` are called by the trainer, see `frugal.training.initial`."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        channels: list[int],
        momentum: float,
        bias_epochs: int,
        epsilon: float,
        divisor: float,
    ):
        super().__init__()
        self.bias_epochs, self.epsilon, self.divisor = bias_epochs, epsilon, divisor
        _check_size(shape[1:])
        before = 2 * shape[0] * PATCH**2
        self.whiten = nn.Conv2d(shape[0], before, PATCH)
        self.whiten.weight.requires_grad_(False)
        nn.init.zeros_(self.whiten.bias)
        groups = []
        for after in channels:
            groups.append(_group(before, after, momentum))
            before = after
        self.groups = nn.Sequential(*groups)
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.head = nn.Linear(before, classes, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """images: (b, C, H, W) -> logits (b, classes). Raises FrugalError for images that are too small."""
        _check_size(images.shape[2:])
        hidden = self.groups(functional.gelu(self.whiten(images)))
        return self.head(self.pool(hidden).flatten(1)) / self.divisor

    def initialise(self, images: Tensor) -> None:
        """Make the first layer whiten patches of images (n, C, H, W): its filters, and their negatives, are the eigenvectors
        of the patches' second moments, each divided by the root of its eigenvalue. Raises FrugalError for images that
        are constant or no numbers.
        """
        moments = second_moments(images)
        if not moments.isfinite().all():
            raise FrugalError(
                "model airbench: the training images hold values that are no numbers, so their patches can't be whitened; "
                "prepare the data set anew"
            )
        if (images == images[:, :, :1, :1]).all():
            raise FrugalError(
                f"model airbench: each of {len(images)} training images is of one colour throughout, so there is nothing to "
                "whiten; choose another data set, or a model without a whitening layer"
            )
        values, vectors = torch.linalg.eigh(moments)
        filters = (vectors / (values.clamp(min=0) + self.epsilon).sqrt()).T.flip(0)  # the largest eigenvalue first
        weight = self.whiten.weight
        with torch.no_grad():
            weight.copy_(torch.cat((filters, -filters)).view(weight.shape))

    def start_epoch(self, epoch: int) -> None:
        """Train the bias of the first layer in the first epochs only. epoch: from 0."""
        self.whiten.bias.requires_grad_(epoch < self.bias_epochs)


def _check_size(size: tuple[int, ...]) -> None:
    if min(size) < LEAST_SIZE:
        raise FrugalError(
            f"model airbench takes images of {LEAST_SIZE} pixels per side or more and was given {size[0]}x{size[1]}; choose "
            "larger images, or another model such as cnn"
        )


def second_moments(images: Tensor) -> Tensor:
    """Mean of x x^T over all 2x2 patches x of images (n, C, H, W): (4C, 4C) float64, of patches laid out as filters are."""
    size, total, patches = images.shape[1] * PATCH**2, 0, 0
    for part in images.split(AT_ONCE):
        columns = functional.unfold(part, PATCH).transpose(1, 2).reshape(-1, size)
        total = total + (columns.T @ columns).double()
        patches += len(columns)
    return total / patches


def _group(before: int, after: int, momentum: float) -> nn.Sequential:
    """Convolution, pooling, normalisation, GELU; convolution, normalisation, GELU."""
    first, second = _convolution(before, after), _convolution(after, after)
    return nn.Sequential(
        first, nn.MaxPool2d(2), _norm(after, momentum), nn.GELU(), second, _norm(after, momentum), nn.GELU()
    )


def _convolution(before: int, after: int) -> nn.Conv2d:
    """3x3 without bias, whose first filters pass one input channel on each, as far as there are inputs; the others are random."""
    layer = nn.Conv2d(before, after, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight.data[:before])
    return layer


def _norm(width: int, momentum: float) -> nn.BatchNorm2d:
    """Batch normalisation with a trained bias and no trained scale. torch's momentum is the share of the new value."""
    layer = nn.BatchNorm2d(width, eps=1e-12, momentum=1 - momentum)
    layer.weight.requires_grad_(False)
    return layer
