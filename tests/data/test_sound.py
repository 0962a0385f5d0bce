"""Recordings become rows of one length, split by their takes; what can't be heard is listed."""

import numpy as np
import pytest
import soundfile

from frugal.data.cache import open_cache
from frugal.data.sources import generated_tones, spoken_digits
from frugal.errors import FrugalError
from prepare import prepare


def write(folder, rate=8000, takes=8):
    """Every digit by two speakers: a wave that says its digit and take by its values."""
    place = folder / "free-spoken-digits/recordings"
    place.mkdir(parents=True)
    for digit in range(10):
        for speaker in ("ann", "bob"):
            for take in range(takes):
                wave = np.full(50 + 10 * take, (100 * digit + take + 1) / 32768)
                soundfile.write(place / f"{digit}_{speaker}_{take}.wav", wave, rate, subtype="PCM_16")
    return place


def test_takes_below_five_are_the_test_set_and_rows_hold_the_recorded_values(tmp_path):
    write(tmp_path)
    arrays = spoken_digits.read(tmp_path, tmp_path, length=100)
    for rows, labels, takes in (
        (arrays.train_inputs, arrays.train_labels, range(5, 8)),
        (arrays.test_inputs, arrays.test_labels, range(5)),
    ):
        expected = [(d, 100 * d + t + 1, min(100, 50 + 10 * t)) for d in range(10) for _ in "ab" for t in takes]
        found = [(label, row[0], (row == row[0]).sum()) for row, label in zip(rows, labels, strict=True)]
        assert sorted(found) == sorted(expected)
        assert all((row[count:] == 0).all() for row, (_, _, count) in zip(rows, found, strict=True))
    assert "40 of 160 recordings are longer than 100 samples, their end was cut off" in arrays.notes[1]


def test_damaged_recordings_are_listed_and_too_many_are_refused(tmp_path):
    place = write(tmp_path)
    whole = (place / "3_ann_6.wav").read_bytes()
    (place / "3_ann_6.wav").write_bytes(b"RIFF")
    soundfile.write(place / "4_bob_1.wav", np.zeros(60), 8000)
    arrays = spoken_digits.read(tmp_path, tmp_path, length=100, damaged=0.02)
    assert [name for name, _ in arrays.skipped] == ["3_ann_6.wav", "4_bob_1.wav"]
    assert arrays.skipped[1][1] == "silent"
    with pytest.raises(FrugalError, match="2 of 160 files can't be used, more than the share 0.01"):
        spoken_digits.read(tmp_path, tmp_path, length=100)
    (place / "3_ann_6.wav").write_bytes(whole)
    (place / "three.wav").write_bytes(whole)
    with pytest.raises(FrugalError, match="three.wav is not named .digit._.speaker._.take..wav"):
        spoken_digits.read(tmp_path, tmp_path)


def test_another_rate_a_missing_digit_and_a_missing_folder_are_refused(tmp_path):
    place = write(tmp_path, rate=16000)
    with pytest.raises(FrugalError, match="16,000 samples per second instead of 8,000; convert it"):
        spoken_digits.read(tmp_path, tmp_path)
    for file in place.glob("7_*_[5-7].wav"):
        file.unlink()
    with pytest.raises(FrugalError, match="has no training recording of the digit 7"):
        spoken_digits.read(tmp_path, tmp_path)
    with pytest.raises(FrugalError, match="these recordings are not downloaded: put them into free-spoken-digits or"):
        spoken_digits.read(None, tmp_path)


def test_generated_tones_say_so_and_are_the_same_every_time(tmp_path):
    about = {
        "name": "tones",
        "source": "generated_tones",
        "shape": [500],
        "classes": 4,
        "validation": 8,
        "split_seed": 0,
    }
    about |= {"options": {"length": 500, "train_samples": 40, "test_samples": 16}, "dct": None}
    one, two = (open_cache(prepare(about, tmp_path / name, tmp_path, None)) for name in "ab")
    assert one.checksum == two.checksum
    assert one.manifest["generated"] is True
    assert (one.kind, one.array("train_waves").dtype, one.manifest["rate"]) == ("sound", np.int16, 8000)
    assert one.manifest["std"][0] == pytest.approx(np.std(one.array("train_waves"), dtype=np.float64))
    other = generated_tones.read(None, tmp_path, length=500, train_samples=40, test_samples=16, seed=1)
    assert not np.array_equal(other.test_inputs, one.array("test_waves"))
