"""Convolutional net on the wave itself, of any length.

M5 of Dai et al., "Very Deep Convolutional Neural Networks for Raw Waveforms", ICASSP 2017, https://arxiv.org/abs/1610.00087.

Its first layer is a bank of learned filters, 80 samples long (10 ms at 8 kHz) and 4 apart, and every layer passes on a
quarter of what it is given. Convolution, batch normalisation, ReLU, max-pooling by 4.
"""

from typing import Annotated

from annotated_types import Ge
from torch import Tensor, nn

KIND = "sound"
WIDTHS = {"channels": 1}  # parameters that a narrower net shrinks, and what each must stay a multiple of


def build(
    shape: tuple[int],
    classes: int,
    *,
    channels: list[Annotated[int, Ge(1)]] = [128, 128, 256, 512],  # noqa: B006
) -> nn.Module:
    """A net for waves (b, T) -> logits (b, classes). shape: (T,); channels: of each layer."""
    layers, before = [], 1
    for width in channels:
        first = before == 1 and not layers
        layers += [
            nn.Conv1d(
                before, width, 80 if first else 3, stride=4 if first else 1, padding=38 if first else 1, bias=False
            ),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.MaxPool1d(4, ceil_mode=True),
        ]
        before = width
    return nn.Sequential(OneChannel(), *layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(before, classes))


class OneChannel(nn.Module):
    """A wave as convolutions want it."""

    def forward(self, waves: Tensor) -> Tensor:
        """waves: (b, T) -> (b, 1, T)."""
        return waves[:, None]
