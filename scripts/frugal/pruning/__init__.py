"""Removing neurons from a net while it trains: which belong together, which matter least, and how the optimizer goes along."""
