"""Strategies in loops that aren't ours: a plain one of PyTorch, Lightning's, and that of Hugging Face's Trainer."""
