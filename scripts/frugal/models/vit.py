"""Vision transformer (ViT): an image is cut into patches, which a transformer encoder reads as a text's tokens.

Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", ICLR 2021,
https://arxiv.org/abs/2010.11929, simplified as Beyer, Zhai & Kolesnikov, "Better plain ViT baselines for ImageNet-1k", 2022,
https://arxiv.org/abs/2205.01580, found to be no worse: the mean over the patches in place of a class token, fixed positions of
sines and cosines in place of learned ones, one linear layer as head. Positions are those of a patch's row and column, so smaller
images than the net was built for are taken too.
"""

from typing import Annotated

import torch
from annotated_types import Ge, Lt
from torch import Tensor, nn

from frugal.errors import FrugalError
from frugal.models.transformer import Layer, droppable  # noqa: F401  layers are left out as there
from frugal.sparse.tokens import draw, kept, pick

WIDTHS = {
    "hidden": "heads",
    "feed_forward": 1,
}  # parameters that a narrower net shrinks, and what each stays a multiple of
BLOCKS = True  # that can be left out of a training step: see `droppable`
TOKEN_LAYERS = "layers"  # modules that take and give (b, tokens, hidden), in their order
PATCHES = "patch"  # the parameter that says how many pixels per side a patch has
TEMPERATURE = 10_000  # of the positions: wavelengths go from 2 pi patches to so many times that


def build(
    shape: tuple[int, int, int],
    classes: int,
    *,
    patch: Annotated[int, Ge(1)] = 4,
    layers: Annotated[int, Ge(1)] = 6,
    heads: Annotated[int, Ge(1)] = 4,
    hidden: Annotated[int, Ge(1)] = 64,
    feed_forward: Annotated[int, Ge(1)] = 256,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
) -> nn.Module:
    """A net for images (b, C, H, W) -> logits (b, classes). Raises FrugalError for sides that patches don't tile, uneven heads.

    shape: (C, H, W); patch: pixels per side of one; hidden: width, a multiple of `heads`; feed_forward: width inside a layer;
    dropout: of patches and of what each part of a layer adds
    """
    if hidden % heads:
        raise FrugalError(f"model vit: hidden is {hidden} and heads {heads}; make hidden a multiple of heads")
    _check_tiled(shape[1], shape[2], patch)
    return ViT(shape, classes, patch, layers, heads, hidden, feed_forward, dropout)


class ViT(nn.Module):
    """Patches and their positions, layers, and a linear layer on the mean over the patches.

    kept_share: of the patches of each image, those that a training pass works on, drawn at random; the strategy patch_drop sets
    it. In evaluation mode all are worked on.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        patch: int,
        layers: int,
        heads: int,
        hidden: int,
        feed_forward: int,
        dropout: float,
    ):
        super().__init__()
        self.patch, self.kept_share = patch, 1.0
        self.embedding = nn.Conv2d(shape[0], hidden, patch, stride=patch)
        self.register_buffer("positions", positions(shape[1] // patch, shape[2] // patch, hidden), persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(Layer(hidden, heads, feed_forward, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)
        self.head = nn.Linear(hidden, classes)

    def forward(self, images: Tensor) -> Tensor:
        """images: (b, C, H, W), of the size the net was built for or less -> logits (b, classes). Refuses others in words."""
        high, wide = images.shape[2:]
        _check_tiled(high, wide, self.patch)
        rows, columns = high // self.patch, wide // self.patch
        if rows > self.positions.shape[0] or columns > self.positions.shape[1]:
            most = "x".join(str(count * self.patch) for count in self.positions.shape[:2])
            raise FrugalError(f"model vit: built for images of {most} pixels or less and was given {high}x{wide}")
        places = self.positions[:rows, :columns].flatten(0, 1)
        hidden = self.dropout(self.embedding(images).flatten(2).transpose(1, 2) + places)
        if self.training and self.kept_share < 1:
            hidden = pick(hidden, draw(hidden, kept(hidden.shape[1], self.kept_share)))
        for layer in self.layers:
            hidden = layer(hidden, None)
        return self.head(self.norm(hidden).mean(1))


def positions(rows: int, columns: int, hidden: int) -> Tensor:
    """(rows, columns, hidden): sines and cosines of a patch's column and row, at hidden / 4 wavelengths, rounded up."""
    steps = -(-hidden // 4)
    speed = TEMPERATURE ** -(torch.arange(steps) / max(1, steps - 1))
    along, down = (torch.arange(count)[:, None] * speed for count in (columns, rows))  # (columns or rows, steps)
    parts = [along.sin()[None], along.cos()[None], down.sin()[:, None], down.cos()[:, None]]
    return torch.stack([part.expand(rows, columns, steps) for part in parts], 3).flatten(2)[..., :hidden]


def _check_tiled(high: int, wide: int, patch: int) -> None:
    if high < patch or wide < patch or high % patch or wide % patch:
        raise FrugalError(
            f"model vit: patches of {patch}x{patch} pixels don't tile images of {high}x{wide}; choose a patch that divides both "
            "sides"
        )
