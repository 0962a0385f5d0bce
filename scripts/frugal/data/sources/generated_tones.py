"""Generated recordings: four melodies of tones, for demos and tests without a download.

A program made them, and the records of runs on them say so.

A rising tone, a falling one, a high note before a low one, a low one before a high one. All four use the same range of
pitch, so no class is told from a moment of it: pitch, loudness, phase, onset and noise are drawn at random.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge

from frugal.data.arrays import Arrays
from frugal.data.sound import Waves

KIND = "sound"
RATE = 8000
MELODIES = ("rising", "falling", "high before low", "low before high")


def read(
    folder: Path | None,
    downloads: Path,
    *,
    length: Annotated[int, Ge(400)] = 2000,
    train_samples: Annotated[int, Ge(8)] = 1200,
    test_samples: Annotated[int, Ge(8)] = 300,
    noise: Annotated[float, Ge(0)] = 0.3,
    seed: int = 0,
) -> Arrays:
    """Make the tones; needs neither a folder nor a network.

    length: samples of a row, 8,000 a second; train_samples, test_samples: equally many of each melody; noise: its standard
    deviation over the tone's amplitude; seed: of all draws
    """
    draw = np.random.default_rng(seed)
    waves = Waves(length, RATE)
    for number in range(train_samples + test_samples):
        label = number % len(MELODIES)
        waves.add(_tone(draw, MELODIES[label], length, noise), label)
    rows, labels = waves.arrays()
    return Arrays(
        rows[:train_samples],
        labels[:train_samples],
        rows[train_samples:],
        labels[train_samples:],
        generated=True,
        notes=(f"computed, not recorded: {', '.join(MELODIES)}",),
        kind=KIND,
        facts={"rate": RATE},
    )


def _tone(draw: np.random.Generator, melody: str, length: int, noise: float) -> np.ndarray:
    """(length,) float in -1 to 1."""
    low = draw.uniform(200, 800)
    high = low * draw.uniform(1.5, 2.0)
    count = int(draw.uniform(0.5, 0.9) * length)
    if melody in ("rising", "falling"):
        pitch = np.linspace(low, high, count)
    else:
        pitch = np.where(np.arange(count) < count * draw.uniform(0.4, 0.6), low, high)
    if melody in ("falling", "high before low"):
        pitch = low + high - pitch
    amplitude = draw.uniform(0.05, 0.25)
    wave = amplitude * noise * draw.standard_normal(length)
    start = draw.integers(0, length - count + 1)
    wave[start : start + count] += amplitude * np.sin(2 * np.pi * (pitch.cumsum() / RATE + draw.random()))
    return wave
