"""Smaller images by interpolation, on the device: two matrix products for a whole batch.

Bilinear, its triangle as wide as what is left out asks for (`antialias` of torch's `interpolate`, as Pillow does it): each new
pixel is a weighted mean of all old ones that it covers. Written as products, as the decoder of the DCT store is, so that both
ways to a small image are counted alike; see `frugal.measure.flops.decoding_flops`.
"""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from frugal.errors import FrugalError


def shrunk(images: Tensor, size: int) -> Tensor:
    """Square images (b, C, N, N) -> (b, C, size, size); the very same ones where that is N. Raises FrugalError for more."""
    height, width = images.shape[2:]
    if height != width or size > width:
        raise FrugalError(f"images of {height}x{width} pixels can't be shrunk to {size}x{size}; choose a smaller size")
    if size == width:
        return images
    rows = weights(width, size, images.device)
    return rows @ images @ rows.T


@lru_cache(maxsize=64)
def weights(before: int, after: int, device: torch.device) -> Tensor:
    """(after, before): by how much each old pixel of a row takes part in each new one; rows sum to 1."""
    each_alone = torch.eye(before).view(1, 1, before, before)
    return functional.interpolate(each_alone, (after, before), mode="bilinear", antialias=True)[0, 0].to(device)
