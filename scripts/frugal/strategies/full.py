"""Leave nothing out: the baseline every saving is a ratio to."""

from dataclasses import dataclass

from frugal.strategies.base import Strategy


@dataclass
class Full(Strategy):
    """Every sample, every pixel, every weight, in every epoch."""
