"""Full training, the baseline that every saving is a ratio to: nothing is left out."""

from dataclasses import dataclass

from frugal.strategies.base import Strategy


@dataclass
class Full(Strategy):
    """Every sample, every pixel, every weight, in every epoch."""
