"""Random crop with padding and horizontal flip for a whole batch at once, without asking the device for anything."""

import torch
from torch import Tensor
from torch.nn import functional


def augment(
    images: Tensor,
    crop_padding: int,
    flip: bool,
    generator: torch.Generator,
    share: tuple[int, int, int] | None = None,
    padding: str = "constant",
) -> Tensor:
    """images: (b, C, H, W) -> the same shape, each sample shifted and flipped by its own draw.

    crop_padding: pixels added on each side before a random H x W crop
    padding: their values, "constant" for zeros (the mean pixel, once images are normalised) or "reflect"
    generator: on the images' device
    share: where the images are every n-th sample, from the first on, of a batch of that size, (first, n, size): they get
        the draws they would get in the whole batch, and the generator advances as for the whole
    """
    if not crop_padding and not flip:
        return images
    b, _, height, width = images.shape
    device = images.device
    first, stride, whole = share or (0, 1, b)
    rows = torch.arange(height, device=device).expand(b, height)
    columns = torch.arange(width, device=device).expand(b, width)
    if flip:
        mirrored = torch.rand(whole, 1, device=device, generator=generator)[first::stride] < 0.5
        columns = torch.where(mirrored, width - 1 - columns, columns)
    if crop_padding:
        images = functional.pad(images, [crop_padding] * 4, mode=padding)
        shift = torch.randint(0, 2 * crop_padding + 1, (2, whole, 1), device=device, generator=generator)
        shift = shift[:, first::stride]
        rows, columns = rows + shift[0], columns + shift[1]
    sample = torch.arange(b, device=device).view(b, 1, 1)
    # Advanced indices around a slice put channels last: (b, H, W, C), which is the layout convolutions like.
    return images[sample, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
