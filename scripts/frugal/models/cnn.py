"""Convolutional net with global pooling, small, for images of any size.

Per layer: 3x3 convolution, 2x2 max-pooling, batch normalisation, ReLU. Pooling comes before normalisation, which gives the
same kind of net for a quarter of the elementwise work.
"""

from torch import nn

WIDTHS = {"channels": 1}  # parameters that a narrower net shrinks, and what each must stay a multiple of


def build(shape: tuple[int, int, int], classes: int, *, channels: list[int] = [16, 32, 64, 128]) -> nn.Module:  # noqa: B006
    """A net for images (b, C, H, W) -> logits (b, classes).

    shape: (C, H, W); channels: of each layer; every layer but the last halves the image, rounding up, so 1x1 pixel is enough
    """
    layers, before = [], shape[0]
    for place, width in enumerate(channels):
        layers.append(nn.Conv2d(before, width, 3, padding=1, bias=False))
        if place < len(channels) - 1:
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        layers += [nn.BatchNorm2d(width), nn.ReLU()]
        before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))
