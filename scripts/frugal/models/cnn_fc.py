"""CNN of the sparsity study: three 3x3 convolutions, each with ReLU and 2x2 max-pooling, then two linear layers.

"Experiment Report: Sparse Matrix Representations for Efficient Training" (author and year not named).

No normalisation, and most of the weights in the first linear layer: the plain net in which sparse weights are to pay.
"""

from typing import Annotated

from annotated_types import Ge, Lt
from torch import Tensor, nn

from frugal.errors import FrugalError

ONE_SIZE = True  # no other images than those it was built for: read before any job starts
WIDTHS = {"channels": 1, "hidden": 1}  # parameters that a narrower net shrinks, and what each must stay a multiple of


def build(
    shape: tuple[int, int, int],
    classes: int,
    *,
    channels: list[int] = [64, 128, 256],  # noqa: B006
    hidden: Annotated[int, Ge(1)] = 512,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
) -> nn.Module:
    """A net for images (b, C, H, W) of exactly this shape -> logits (b, classes).

    shape: (C, H, W); channels: of each convolution, each one halves the image, rounding up; hidden: width of the first
    linear layer, which the source does not tell; dropout: share of its outputs left out while training
    """
    layers: list[nn.Module] = [OnlyOfShape(shape)]
    (before, height, width) = shape
    for after in channels:
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
        before, height, width = after, (height + 1) // 2, (width + 1) // 2
    layers += [nn.Flatten(), nn.Linear(before * height * width, hidden), nn.ReLU()]
    if dropout:
        layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers, nn.Linear(hidden, classes))


class OnlyOfShape(nn.Module):
    """Refuses images of another size in words: a linear layer on pixels has a weight for each position."""

    def __init__(self, shape: tuple[int, int, int]):
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, images: Tensor) -> Tensor:
        """images: (b, C, H, W), returned as they are; raises FrugalError unless (C, H, W) is the shape."""
        if tuple(images.shape[1:]) != self.shape:
            built, given = ("x".join(map(str, shape)) for shape in (self.shape, images.shape[1:]))
            raise FrugalError(
                f"the model cnn_fc was built for {built} images and was given {given}; for strategies that change the "
                "size of images (decode: spectral) choose a model with global pooling: cnn or resnet"
            )
        return images
