"""Frugal measures what can be left out of training a neural network: bits per sample, samples, weights, neurons."""
