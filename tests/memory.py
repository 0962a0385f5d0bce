"""Checkpoints that are kept in memory."""

import io

import torch


class Memory:
    """Through the same serialisation as those on disk. content: the last one saved, as bytes."""

    def __init__(self, content=None):
        self.content = content

    def save(self, steps, state):
        buffer = io.BytesIO()
        torch.save(state, buffer)
        self.content = buffer.getvalue()

    def load(self):
        return self.content and torch.load(io.BytesIO(self.content), weights_only=True)


class Kept:
    """The last saved state, as it was."""

    content = None

    def save(self, _, state):
        self.content = state

    def load(self):
        return self.content
