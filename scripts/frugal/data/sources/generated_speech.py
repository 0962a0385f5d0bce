"""Generated speech: words whose letters are tones, for demos and tests of transcription without a download.

A program made them, and the records of runs on them say so.

Every letter is a tone of its own pitch with one overtone, a space is a short silence, and each recording is spoken by a voice
of its own loudness, slightly other pitch and pace, in some noise. So the letters can be learnt by ear and their number can't be
guessed from the length.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from frugal.data.arrays import Arrays
from frugal.data.sound import as_stored
from frugal.data.transcripts import Transcript

KIND = "sound"
TASK = "transcription"
RATE = 8000
LETTERS = "aeioulnrst"
TONE = 960  # samples of a letter, of which the last sixth is silent


def read(
    folder: Path | None,
    downloads: Path,
    *,
    train_samples: Annotated[int, Ge(8)] = 900,
    test_samples: Annotated[int, Ge(8)] = 150,
    letters: Annotated[int, Ge(2), Le(10)] = 6,
    longest: Annotated[int, Ge(2)] = 6,
    noise: Annotated[float, Ge(0)] = 0.1,
    seed: int = 0,
) -> Arrays:
    """Make the recordings; needs neither a folder nor a network. A row has 1.2 * 960 * longest samples, rounded down.

    train_samples, test_samples: how many; letters: of the alphabet; longest: characters of a text, spaces included; noise:
    its standard deviation over the tone's amplitude; seed: of all draws
    """
    draw = np.random.default_rng(seed)
    length = int(1.2 * TONE * longest)
    rows, transcripts = (
        np.zeros((train_samples + test_samples, length), np.int16),
        np.empty(train_samples + test_samples, object),
    )
    for place in range(len(rows)):
        text = _text(draw, LETTERS[:letters], longest)
        wave = _wave(draw, text, noise)
        rows[place, : len(wave)], transcripts[place] = as_stored(wave), Transcript(text, len(wave))
    return Arrays(
        rows[:train_samples],
        transcripts[:train_samples],
        rows[train_samples:],
        transcripts[train_samples:],
        generated=True,
        notes=("words spelt in tones, computed, not recorded",),
        kind=KIND,
        facts={"rate": RATE},
        task=TASK,
    )


def _text(draw: np.random.Generator, letters: str, longest: int) -> str:
    """One or two words."""
    text = "".join(draw.choice(list(letters), draw.integers(2, longest + 1)))
    if len(text) > 3 and draw.random() < 0.5:
        gap = draw.integers(1, len(text) - 1)
        text = f"{text[:gap]} {text[gap + 1 :]}"
    return text


def _wave(draw: np.random.Generator, text: str, noise: float) -> np.ndarray:
    """(samples,) float in -1 to 1."""
    loudness, voice, pace = draw.uniform(0.1, 0.3), draw.uniform(0.97, 1.03), draw.uniform(0.85, 1.15)
    count = int(pace * TONE)
    time = np.arange(count) / RATE
    envelope = np.minimum(1, np.minimum(np.arange(count), np.maximum(0, count * 5 // 6 - np.arange(count))) / 20)
    parts = []
    for letter in text:
        if letter == " ":
            parts.append(np.zeros(count))
            continue
        pitch = 2 * np.pi * voice * 250 * 1.22 ** LETTERS.index(letter)
        parts.append(envelope * (np.sin(pitch * time + draw.random()) + 0.4 * np.sin(2 * pitch * time)))
    wave = loudness * np.concatenate(parts)
    return wave + noise * loudness * draw.standard_normal(len(wave))
