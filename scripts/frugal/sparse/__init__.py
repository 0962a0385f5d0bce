"""Layers that hold, train and store only a part of their weights."""
