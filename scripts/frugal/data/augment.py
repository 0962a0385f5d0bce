"""Random crops and horizontal flip for a whole batch at once, without waiting for the device."""

import torch
from torch import Tensor
from torch.nn import functional

from frugal.data.resized_crop import draw_crops, resize_crops


def augment(
    images: Tensor,
    crop_padding: int,
    flip: bool,
    generator: torch.Generator,
    share: tuple[int, int, int] | None = None,
    padding: str = "constant",
    resized_crop: tuple[float, float] | None = None,
) -> Tensor:
    """images: (b, C, H, W) -> the same shape, each sample cropped and flipped by its own draw.

    crop_padding: pixels added on each side before a random H x W crop
    padding: their values, "constant" for zeros (the mean pixel, once images are normalised) or "reflect"
    generator: on the images' device
    share: where the images are every n-th sample, from the first on, of a batch of that size, (first, n, size): they get
        the draws they would get in the whole batch, and the generator advances as for the whole
    resized_crop: least and largest share of the area of a random rectangle, seen at full size in place of the shift; None
        for none
    """
    if not crop_padding and not flip and not resized_crop:
        return images
    b, _, height, width = images.shape
    device = images.device
    first, stride, whole = share or (0, 1, b)
    mirrored = torch.rand(whole, 1, device=device, generator=generator)[first::stride] < 0.5 if flip else None
    if resized_crop:
        crops = draw_crops(whole, height, width, resized_crop, device, generator)
        mirrored = torch.zeros(b, dtype=torch.bool, device=device) if mirrored is None else mirrored.squeeze(1)
        return resize_crops(images, *(drawn[first::stride] for drawn in crops), mirrored)
    rows = torch.arange(height, device=device).expand(b, height)
    columns = torch.arange(width, device=device).expand(b, width)
    if flip:
        columns = torch.where(mirrored, width - 1 - columns, columns)
    if crop_padding:
        images = functional.pad(images, [crop_padding] * 4, mode=padding)
        shift = torch.randint(0, 2 * crop_padding + 1, (2, whole, 1), device=device, generator=generator)
        shift = shift[:, first::stride]
        rows, columns = rows + shift[0], columns + shift[1]
    sample = torch.arange(b, device=device).view(b, 1, 1)
    # Advanced indices around a slice put channels last: (b, H, W, C), which is the layout convolutions like.
    return images[sample, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
