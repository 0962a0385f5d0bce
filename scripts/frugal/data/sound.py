"""Recordings as rows of one length: 16-bit samples of one channel, cut or filled up with silence at the end."""

from collections.abc import Iterable
from math import gcd
from pathlib import Path

import numpy as np
import soundfile
from scipy import signal

from frugal.errors import FrugalError


class Unusable(Exception):
    """Why a recording can't be used."""


def decoded(file: Path, rate: int | None = None) -> np.ndarray:
    """(samples,) float32 in -1 to 1, the mean of the channels, resampled where it is of another rate than wanted.

    rate: samples per second, None for the file's own. Raises Unusable for what can't be decoded or is silent throughout.
    """
    try:
        wave, found = soundfile.read(file, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise Unusable(" ".join(str(error).split())) from error
    mono = wave.mean(1)
    if not mono.any():
        raise Unusable("silent" if len(mono) else "empty")
    if rate is None or found == rate:
        return mono
    common = gcd(found, rate)
    return signal.resample_poly(mono, rate // common, found // common)  # with its low-pass filter against aliasing


def as_stored(wave: np.ndarray) -> np.ndarray:
    """(samples,) float in -1 to 1 -> int16."""
    return np.clip(np.rint(wave * 32768), -32768, 32767).astype(np.int16)


class Waves:
    """Rows of `length` samples, filled one recording at a time. rate: samples per second that every file has to have."""

    def __init__(self, length: int, rate: int):
        self.length, self.rate = length, rate
        self.rows: list[np.ndarray] = []
        self.labels: list[int] = []
        self.skipped: list[tuple[str, str]] = []
        self.cut = 0

    def read(self, files: Iterable[tuple[Path, int]]) -> "Waves":
        """Add files with their labels; those that can't be decoded, or are silent throughout, go to `skipped`.

        Raises FrugalError for a file of another rate: at another speed it would be another sound.
        """
        for file, label in files:
            try:
                rate = soundfile.info(file).samplerate
            except (soundfile.SoundFileError, OSError) as error:
                self.skipped.append((file.name, " ".join(str(error).split())))
                continue
            if rate != self.rate:
                raise FrugalError(f"{file} has {rate:,} samples per second instead of {self.rate:,}; convert it")
            try:
                self.add(decoded(file), label)
            except Unusable as error:
                self.skipped.append((file.name, str(error)))
        return self

    def add(self, wave: np.ndarray, label: int) -> None:
        """One recording. wave: (samples,) float in -1 to 1"""
        self.cut += len(wave) > self.length
        kept = as_stored(wave[: self.length])
        self.rows.append(np.pad(kept, (0, self.length - len(kept))))
        self.labels.append(label)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """(n, length) int16 and (n,) int64."""
        rows = np.stack(self.rows) if self.rows else np.empty((0, self.length), np.int16)
        return rows, np.array(self.labels, np.int64)
