"""Removal of neurons while a net trains: which belong together, which matter least, and how the optimizer goes along."""
