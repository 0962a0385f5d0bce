"""Mixup and CutMix of a batch: each image is joined with the one before it, by weights of all pixels or by a rectangle.

Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018, https://arxiv.org/abs/1710.09412.
Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features", ICCV 2019,
https://arxiv.org/abs/1905.04899.

As in both papers one share is drawn for a batch. What torchvision's transforms give back is one tensor of probabilities per
sample, from which no loss of a sample's own label can be told, and they draw from torch's global generator.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Mix:
    """What a batch is mixed by.

    share: of its own image in a sample, in [0.5, 1]; box: top, left, bottom, right of the rectangle, in pixels, None for mixup;
    inside: whether its own image is the one in the rectangle
    """

    share: float
    box: tuple[int, int, int, int] | None = None
    inside: bool = False

    def __call__(self, images: Tensor) -> Tensor:
        """(b, C, H, W) -> the same, each with its partner, `partners` of the batch."""
        others = partners(images)
        if self.box is None:
            return torch.lerp(others, images, self.share)
        top, left, bottom, right = self.box
        around, within = (others, images) if self.inside else (images, others)
        mixed = around.clone()
        mixed[:, :, top:bottom, left:right] = within[:, :, top:bottom, left:right]
        return mixed


def partners(batch: Tensor) -> Tensor:
    """(b, ...) -> (b, ...): of each sample the one that it is mixed with, which is the one before it."""
    return batch.roll(1, 0)


def draw_mix(mixup: float | None, cutmix: float | None, size: tuple[int, int], draw: np.random.Generator) -> Mix:
    """mixup, cutmix: parameter of the Beta distribution of the share, None for not; of both one is chosen. size: height, width.

    Which of two images a mixed one counts for is free: it is the one with the larger share.
    """
    cut = cutmix is not None and (mixup is None or draw.random() < 0.5)
    alpha = cutmix if cut else mixup
    share = float(draw.beta(alpha, alpha))
    if not cut:
        return Mix(max(share, 1 - share))
    height, width = size
    row, column = draw.integers(height), draw.integers(width)
    high, wide = (int(sqrt(1 - share) * side / 2) for side in size)
    top, left, bottom, right = (
        max(row - high, 0),
        max(column - wide, 0),
        min(row + high, height),
        min(column + wide, width),
    )
    area = (bottom - top) * (right - left) / (height * width)
    return Mix(max(area, 1 - area), (int(top), int(left), int(bottom), int(right)), area > 0.5)
