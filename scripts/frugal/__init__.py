"""Frugal measures what can be left out of training a neural network: bits per sample, samples, weights, neurons."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# What `from frugal import ...` gives a loop of one's own, imported when it is asked for: strategies by their class, and what
# puts one to work.
OWN_LOOP = {
    "AdaptiveSparseTraining": "strategies.ast",
    "Combined": "strategies.combined",
    "DynamicPruning": "strategies.dynamic_pruning",
    "FixedSubset": "strategies.fixed_subset",
    "Freeze": "strategies.freeze",
    "Frugal": "loops.plain",
    "Full": "strategies.full",
    "GradientNorm": "strategies.gradient_norm",
    "GradualMagnitude": "strategies.gradual_magnitude",
    "IES": "strategies.ies",
    "InfoBatch": "strategies.infobatch",
    "InfoBatchExact": "strategies.infobatch_exact",
    "LAWA": "strategies.lawa",
    "OrderDP": "strategies.orderdp",
    "ProxyFilter": "strategies.proxy_filter",
    "PruneTrain": "strategies.prune_train",
    "RS2": "strategies.rs2",
    "RandomSubset": "strategies.random_subset",
    "Rho": "strategies.rho",
    "RigL": "strategies.rigl",
    "SET": "strategies.set",
    "SeTa": "strategies.seta",
    "SelectiveBackprop": "strategies.selective_backprop",
    "Sparse": "strategies.sparse",
    "StaticScores": "strategies.static_scores",
}


def __getattr__(name: str) -> Any:
    if name == "meter":  # called as a function: with frugal.meter(model, optimizer)
        return import_module("frugal.loops.meter").Meter
    if name not in OWN_LOOP:
        raise AttributeError(f"module 'frugal' has no attribute {name!r}")
    return getattr(import_module(f"frugal.{OWN_LOOP[name]}"), name)
