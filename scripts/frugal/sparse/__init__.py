"""Sparse layers: they hold, train and store only a part of their weights."""
