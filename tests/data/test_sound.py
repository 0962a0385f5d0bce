"""Recordings become rows of one length, split by their takes; what can't be heard is listed."""

import os

import numpy as np
import pytest
import soundfile

from frugal.data.cache import open_cache
from frugal.data.prepare import prepare
from frugal.data.sound import Unusable, Waves, decoded
from frugal.data.sources import generated_tones, spoken_digits
from frugal.errors import FrugalError


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
    with pytest.raises(FrugalError, match="these recordings are not downloaded: put free-spoken-digits/recordings or"):
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


def tone(amplitude=0.5, samples=800, phase=0.0):
    return (amplitude * np.sin(np.arange(samples) / 5 + phase)).astype(np.float32)


def saved(path, wave, subtype="FLOAT", rate=8000):
    soundfile.write(path, wave, rate, subtype=subtype)
    return path


def cut(path, length):
    path.write_bytes(path.read_bytes()[:length])
    return path


def spoilt_by(value):
    wave = tone()
    wave[400] = value
    return wave


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: saved(p, spoilt_by(np.nan)), "samples that are no numbers, NaN or infinite"),
        (lambda p: saved(p, spoilt_by(np.inf)), "samples that are no numbers, NaN or infinite"),
        (lambda p: saved(p, spoilt_by(-np.inf)), "samples that are no numbers, NaN or infinite"),
        (lambda p: saved(p, np.empty(0)), "empty"),
        (lambda p: saved(p, np.zeros(800)), "silent"),
        (lambda p: saved(p, tone(1e-6)), "silent"),  # nothing of it is left in 16 bits
        (lambda p: saved(p, np.concatenate([np.zeros(100), tone()])), "silent in its first 100 samples"),
        (lambda p: cut(saved(p, tone(), "PCM_16"), 44), "empty"),
        (lambda p: cut(saved(p, tone(), "PCM_16"), 1000), "cut off: it has less sound than its header says"),
    ],
    ids=["NaN", "infinite", "minus infinite", "empty", "silent", "too quiet", "late", "header alone", "cut off"],
)
def test_what_has_no_sound_is_left_out_and_listed(make, reason, tmp_path):
    waves = Waves(100, 8000).read([(make(tmp_path / "0.wav"), 0), (saved(tmp_path / "1.wav", tone()), 1)])
    assert waves.skipped == [("0.wav", reason)]
    assert waves.labels == [1]


def test_samples_beyond_one_are_divided_by_the_largest(tmp_path):
    waves = Waves(800, 8000).read([(saved(tmp_path / "0.wav", np.rint(tone(300))), 0)])
    assert np.abs(waves.rows[0] - 32767 * tone(1)).max() < 200  # not a square wave
    assert dict(waves.remarks) == {"have samples beyond -1 to 1 and were divided by the largest": 1}
    whole = saved(tmp_path / "1.wav", tone(1.0))
    assert decoded(whole)[2] == ()


def test_channels_are_mixed_and_where_they_cancel_each_other_the_loudest_is_taken(tmp_path):
    left, right = tone(0.5), tone(0.3, phase=1)
    mixed = saved(tmp_path / "mixed.wav", np.stack([left, right], 1))
    opposed = saved(tmp_path / "opposed.wav", np.stack([0.999 * left, -left], 1))
    one_sided = saved(tmp_path / "one.wav", np.stack([0 * left, left], 1))
    np.testing.assert_allclose(decoded(mixed)[0], (left + right) / 2, atol=1e-6)
    np.testing.assert_allclose(decoded(opposed)[0], -left, atol=1e-6)
    np.testing.assert_allclose(decoded(one_sided)[0], left / 2, atol=1e-6)
    waves = Waves(800, 8000).read([(mixed, 0), (opposed, 1), (one_sided, 2)])
    assert dict(waves.remarks) == {
        "have several channels, which were mixed by their mean": 2,
        "have channels that cancel each other, of which the loudest was taken": 1,
    }


def test_what_was_done_to_recordings_is_in_the_notes(tmp_path):
    place = write(tmp_path)
    saved(place / "3_ann_6.wav", tone(300, 60))
    saved(place / "3_bob_6.wav", np.stack([tone(0.5, 60)] * 2, 1))
    notes = spoken_digits.read(tmp_path, tmp_path, length=200).notes
    assert "1 recordings have samples beyond -1 to 1 and were divided by the largest" in notes
    assert "1 recordings have several channels, which were mixed by their mean" in notes


def test_a_digit_of_which_no_recording_can_be_used_is_named(tmp_path):
    for file in write(tmp_path).glob("7_*_[5-7].wav"):
        file.write_bytes(b"RIFF")
    with pytest.raises(
        FrugalError, match="no training recording of the digit 7 can be used, the first that can't is 7_ann"
    ):
        spoken_digits.read(tmp_path, tmp_path, length=100, damaged=1.0)


@pytest.mark.parametrize("content", [b"RIFF", b"", b"no sound"])
def test_a_damaged_recording_by_any_name_has_the_same_reason_in_any_folder(content, tmp_path):
    reasons = set()
    for name in (b"a.wav", b"caf\xe9.wav", b"b/c.wav"):
        path = tmp_path / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        with pytest.raises(Unusable) as refused:
            decoded(path)
        reasons.add(str(refused.value))
    assert len(reasons) == 1


def test_a_recording_whose_name_is_not_utf_8_is_read(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    os.replace(saved(tmp_path / "plain.wav", tone()), path)
    np.testing.assert_array_equal(decoded(path)[0], tone())


def test_a_wav_written_to_a_pipe_has_no_length_and_is_no_cut_off_one(tmp_path):
    path = saved(tmp_path / "0.wav", tone(), "PCM_16")
    content = path.read_bytes()
    at = content.index(b"data") + 4
    path.write_bytes(content[:at] + b"\xff\xff\xff\xff" + content[at + 4 :])
    assert len(decoded(path)[0]) == 800
