"""Benchmark of the compression study: decoding speed, the cost of choosing levels, bytes and FLOPs saved."""

from pathlib import Path

import torch

from frugal.bench import generated
from frugal.bench.engine import epoch
from frugal.bench.row import Row, rate, ratio, seconds_of
from frugal.data.device import Coefficients
from frugal.training.trainer import Trainer

CPU = torch.device("cpu")
SAMPLES = 2560


def measure(folder: Path) -> list[Row]:
    """On one core and 28x28 images. folder: for generated data."""
    cache = generated.cache(folder / "compression", SAMPLES)
    return [*_decoding(cache), *_adapting(cache), *_spectral(cache)]


def _trainer(cache: object, use: str = "compression", **strategy: object) -> Trainer:
    return Trainer(generated.spec(use, **strategy), cache, CPU)


def _decoding(cache: object) -> list[Row]:
    data, indices = Coefficients(cache, "train", CPU), torch.arange(256)
    rows = data.rows[indices, :256].contiguous()

    def decode() -> int:
        data.decoder(rows, 16)
        return len(rows)

    decoded = rate(decode)
    trainer = _trainer(cache, k_hi=16)
    step = min(seconds_of(lambda: epoch(trainer)) for _ in range(4)) / SAMPLES
    return [
        Row("compression", "decoding 28x28 from 16x16 coefficients", decoded, "images/s", 300_000),
        Row("compression", "decoding as a share of a training step", 100 / decoded / step, "%", 3, "at most"),
    ]


def _adapting(cache: object) -> list[Row]:
    """ema-4-16 with 35 % of the samples at 16x16 reads what fixed-10 reads: 0.35 * 256 + 0.65 * 16 = 100 bytes a sample."""
    fixed, adaptive = _trainer(cache, k_hi=10), _trainer(cache, rule="ema", k_lo=4, k_hi=16)
    losses = (torch.arange(SAMPLES) % 20 < 7).float()

    def adaptive_epoch() -> None:
        adaptive.strategy.average = None
        adaptive.losses.copy_(losses)
        epoch(adaptive)

    price = ratio(adaptive_epoch, lambda: epoch(fixed), 15)
    before = adaptive.ledger.bytes_read
    adaptive_epoch()
    read = adaptive.ledger.bytes_read - before
    surplus = read - (adaptive.strategy.level**2).sum().item()
    return [
        Row("compression", "adaptive epoch over a fixed one of the same bytes", price, "x", 1.02, "at most"),
        Row("compression", "bytes read in an epoch minus the sum over samples of k*k", surplus, "bytes", 0, "at most"),
        Row("compression", "bytes of the adaptive epoch over the fixed one's", read / (SAMPLES * 100), "x"),
    ]


def _spectral(cache: object) -> list[Row]:
    native, spectral = _trainer(cache, k_hi=16), _trainer(cache, k_hi=16, decode="spectral")
    times = ratio(lambda: epoch(spectral), lambda: epoch(native))
    flops = [t.ledger.flops_executed / t.ledger.samples_forwarded for t in (spectral, native)]
    return [
        Row("compression", "FLOPs of 16x16 spectral over native", flops[0] / flops[1], "x", 0.5, "at most"),
        Row("compression", "time of 16x16 spectral over native", times, "x", 0.7, "at most"),
    ]
