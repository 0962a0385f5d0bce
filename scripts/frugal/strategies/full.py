"""Full training: nothing is left out. The baseline that every saving is measured against."""

from dataclasses import dataclass

from frugal.strategies.base import Strategy


@dataclass
class Full(Strategy):
    """Every sample, every pixel, every weight, in every epoch."""
