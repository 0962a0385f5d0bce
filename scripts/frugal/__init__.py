"""Frugal measures what can be left out of training a neural network: bits per sample, samples, weights, neurons."""

__version__ = "0.1.0"
