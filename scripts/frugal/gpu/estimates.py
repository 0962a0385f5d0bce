"""Estimates of hours on an H200-class card. None is measured: FLOPs that torch counts, over a rate that is assumed.

What a step really took is stored beside its figure, and `make gpu ARGS=--list` shows both.
"""

from dataclasses import dataclass

# FLOP/s reached in training, bfloat16: a twentieth of what such a card does in large products, since its kernels are short.
RATE = 40e12
START = 60.0  # seconds of a run beside its passes: imports, data onto the card, compiling, records
GFLOP = {  # of one image: forward, backward; as `frugal.measure.flops.pass_flops` counts them, which a test repeats
    "airbench, 32x32": (0.236, 0.471),
    "resnet-18, 32x32": (1.111, 2.218),
    "resnet-50, 32x32": (2.596, 5.188),
    "resnet-50, 224x224": (8.175, 16.113),
}


@dataclass(frozen=True)
class Estimate:
    """hours: on one card; reckoned: from what, in words."""

    hours: float
    reckoned: str


def assumed(minutes: float, for_what: str) -> Estimate:
    """Where a step is bound by other things than FLOPs."""
    return Estimate(minutes / 60, f"assumed {minutes:g} minutes, for {for_what}")


def training(net: str, images: float, evaluated: float, runs: int, share: float = 1.0, more: float = 0.0) -> Estimate:
    """Of `runs` trainings on `images` images each, of which `share` is really trained on in the mean over the runs.

    net: of GFLOP; evaluated: images of a run that go forward only; more: seconds beside, such as for preparing the data
    """
    forward, backward = GFLOP[net]
    flops = 1e9 * runs * (images * share * (forward + backward) + evaluated * forward)
    seconds = flops / RATE + runs * START + more
    told = f"{flops:.2g} FLOPs counted, at {RATE / 1e12:g} TFLOP/s assumed, and {START:g} s assumed for each of {runs} runs"
    return Estimate(seconds / 3600, told + (f", and {more:g} s for the data" if more else ""))
