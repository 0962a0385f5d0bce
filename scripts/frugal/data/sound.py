"""Recordings as rows of one length: 16-bit samples of one channel, cut or filled up with silence at the end.

What has no sound is unusable: no samples, samples that are no numbers, silence, a file cut off. Samples beyond -1 to 1, of
which a file of integers in floating-point may have many, are divided by the largest. Channels are mixed by their mean; where
they cancel each other, as two in opposite phase do, the mean is silence, and the loudest is taken.
"""

import os
from collections import Counter
from collections.abc import Iterable
from math import gcd
from pathlib import Path

import numpy as np
from scipy import signal

from frugal.data.folders import BROKEN_LINK, encodable, shown
from frugal.errors import FrugalError, needs_extra

with needs_extra("audio", "recordings"):
    import soundfile

AUDIBLE = 0.5 / 32768  # what is less becomes 0 in 16 bits
CUT_OFF = 0.8  # of the samples announced; an MP3 has up to a tenth less, its encoder's delay
CANCELLED = 0.01  # of the loudest channel: a mean that is 40 dB less loud than it
HEADER = 12  # bytes of a RIFF file before its first chunk
UNKNOWN_LENGTHS = (0, 0x7FFFFFFF, 0xFFFFFFFF)  # written by programs that don't know yet how long it will be

# What is said of recordings that are not taken as they are: "3 recordings have ..."
SCALED = "have samples beyond -1 to 1 and were divided by the largest"
MIXED = "have several channels, which were mixed by their mean"
CANCELLING = "have channels that cancel each other, of which the loudest was taken"
RESAMPLED = "were resampled to {:,} samples per second"


class Unusable(Exception):
    """Why a recording can't be used."""


def decoded(file: Path, rate: int | None = None) -> tuple[np.ndarray, int, tuple[str, ...]]:
    """(samples,) float32 in -1 to 1 of one channel, samples per second, and what was done to them.

    rate: samples per second that it is resampled to, None for the file's own. Raises Unusable for what can't be decoded, is
    cut off, or has no sound in it.
    """
    try:
        with soundfile.SoundFile(os.fsencode(file)) as stream:  # as bytes: a name need not be UTF-8
            found, claimed, kind = stream.samplerate, stream.frames, stream.format
            wave = stream.read(dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise Unusable(_reason(file, error)) from error
    if not len(wave):
        raise Unusable("empty")
    if len(wave) < CUT_OFF * claimed or (kind in ("WAV", "WAVEX") and _is_cut_off(file)):
        raise Unusable("cut off: it has less sound than its header says")
    mono, remarks = one_channel(wave)
    if rate is not None and found != rate:
        common = gcd(found, rate)
        mono = signal.resample_poly(mono, rate // common, found // common)  # with its low-pass filter against aliasing
        found, remarks = rate, (*remarks, RESAMPLED.format(rate))
    if not audible(mono):
        raise Unusable("silent")
    return mono, found, remarks


def one_channel(wave: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """(samples, channels) float32 -> (samples,) in -1 to 1, and what was done. Raises Unusable for what is no number."""
    peak = float(max(wave.max(), -wave.min()))
    if not np.isfinite(peak):  # a NaN is the maximum
        raise Unusable("samples that are no numbers, NaN or infinite")
    remarks: tuple[str, ...] = ()
    if peak > 1:
        wave, remarks = wave / peak, (SCALED,)
    if wave.shape[1] == 1:
        return wave[:, 0], remarks
    mono = wave.mean(1)
    loudness = np.sqrt(np.square(wave, dtype=np.float64).mean(0))
    if np.sqrt(np.square(mono, dtype=np.float64).mean()) < CANCELLED * loudness.max():
        return wave[:, loudness.argmax()], (*remarks, CANCELLING)
    return mono, (*remarks, MIXED)


def audible(wave: np.ndarray) -> bool:
    """Whether anything is left of (samples,) float in 16 bits."""
    return max(wave.max(), -wave.min()) > AUDIBLE


def as_stored(wave: np.ndarray) -> np.ndarray:
    """(samples,) float in -1 to 1 -> int16."""
    return np.clip(np.rint(wave * 32768), -32768, 32767).astype(np.int16)


def notes_on(remarks: Counter) -> tuple[str, ...]:
    """What was done to how many recordings, one sentence each."""
    return tuple(f"{count:,} recordings {remark}" for remark, count in sorted(remarks.items()))


class Waves:
    """Rows of `length` samples, filled one recording at a time. rate: samples per second that every file has to have."""

    def __init__(self, length: int, rate: int):
        self.length, self.rate = length, rate
        self.rows: list[np.ndarray] = []
        self.labels: list[int] = []
        self.skipped: list[tuple[str, str]] = []
        self.remarks: Counter = Counter()
        self.cut = 0

    def read(self, files: Iterable[tuple[Path, int]]) -> "Waves":
        """Add files with their labels; those that can't be decoded, or have no sound, go to `skipped`.

        Raises FrugalError for a file of another rate: at another speed it would be another sound.
        """
        for file, label in files:
            try:
                wave, rate, remarks = decoded(file)
            except Unusable as error:
                self.skipped.append((encodable(file.name), str(error)))
                continue
            if rate != self.rate:
                raise FrugalError(f"{shown(file)} has {rate:,} samples per second instead of {self.rate:,}; convert it")
            if not audible(wave[: self.length]):
                self.skipped.append((encodable(file.name), f"silent in its first {self.length:,} samples"))
                continue
            self.add(wave, label)
            self.remarks.update(remarks)
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


def _reason(file: Path, error: Exception) -> str:
    """Why a file can't be decoded, the same on every machine: without the file's own path."""
    if file.is_symlink() and not file.exists():
        return BROKEN_LINK
    return " ".join(str(getattr(error, "error_string", error)).split())


def _is_cut_off(file: Path) -> bool:
    """Whether a WAV file ends before the samples that its header announces; its decoder would read it as a shorter one."""
    with open(file, "rb") as stream:
        if stream.read(4) != b"RIFF":
            return False  # its big-endian kin
        end, at = stream.seek(0, 2), HEADER
        while at + 8 <= end:
            stream.seek(at)
            head = stream.read(8)
            length = int.from_bytes(head[4:], "little")
            if head[:4] == b"data":
                return length not in UNKNOWN_LENGTHS and at + 8 + length > end
            at += 8 + length + length % 2
    return False
