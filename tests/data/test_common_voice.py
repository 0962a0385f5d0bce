"""A release of Common Voice becomes waves and transcripts; whatever can't be used is listed with its reason."""

import csv
import json

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from frugal.data.cache import open_cache
from frugal.data.prepare import prepare
from frugal.data.sources import common_voice
from frugal.data.transcripts import OTHER, Transcript, Transcripts, plain, text_of
from frugal.errors import FrugalError

TRAIN = ["da sagte sie", "nein", "ja", "sie sagte: „Nein!“", "da", "und"]
TEST = ["ja", "Ja, ÿ!"]
TEXT = st.text(st.sampled_from("abc dë'"), min_size=1, max_size=12).map(plain).filter(bool)


def clip(file, seconds=1.0, rate=32_000):
    time = np.arange(int(seconds * rate)) / rate
    soundfile.write(file, 0.3 * np.sin(2 * np.pi * 440 * time), rate, format="MP3")


def release(folder, train=TRAIN, test=TEST, columns=("client_id", "path", "sentence", "up_votes")):
    """cv/de/{train,test}.tsv and clips of one second of a tone; returns cv/de."""
    home = folder / "cv/de"
    (home / "clips").mkdir(parents=True)
    for name, sentences in (("train", train), ("test", test)):
        rows = [
            dict(zip(columns, (f"{n}", f"{name}{n}.mp3", said, "2"), strict=True)) for n, said in enumerate(sentences)
        ]
        for row in rows:
            clip(home / "clips" / list(row.values())[1])
        with open(home / f"{name}.tsv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None)
            writer.writeheader()
            writer.writerows(rows)
    return home


def read(folder, **options):
    return common_voice.read(folder, folder, language="de", folders=["cv"], **{"length": 17_000, **options})


def test_clips_become_waves_at_16_kilohertz_and_sentences_rows_of_symbols(tmp_path):
    release(tmp_path)
    about = {"name": "cv", "source": "common_voice", "shape": [17_000], "classes": 12, "validation": 2, "split_seed": 1}
    about |= {"options": {"language": "de", "folders": ["cv"], "length": 17_000}, "dct": None, "allow_overlap": True}
    cache = open_cache(prepare(about, tmp_path / "cache", tmp_path, tmp_path))
    said = {plain(sentence) for sentence in TRAIN}
    symbols, waves, labels = cache.manifest["symbols"], cache.array("train_waves"), cache.array("train_labels")
    assert (cache.kind, cache.task, cache.manifest["rate"]) == ("sound", "transcription", 16_000)
    for wave, row in zip(waves, labels, strict=True):
        samples = int(row[0])
        assert 15_900 < samples < 16_800
        assert not wave[samples:].any()
        assert text_of([s for s in row[1:] if s], symbols, "?") in said
        spectrum = np.abs(np.fft.rfft(wave[2000:10_000].astype(float)))
        assert spectrum.argmax() * 2 == 440  # bins of 2 Hz: resampled, not reinterpreted
    test = cache.array("test_labels")
    assert [text_of([s for s in row[1:] if s], symbols, "?") for row in test] == ["ja", "ja ?"]  # ÿ is of the test set
    assert any("test: 1 characters have no symbol: ÿ" in note for note in cache.manifest["notes"])
    with pytest.raises(FrugalError, match=r"has 1\d characters, which with .* makes (1\d) classes; correct `classes`"):
        prepare(about | {"classes": 99}, tmp_path / "other", tmp_path, tmp_path)


def test_what_cannot_be_used_is_listed_and_too_much_of_it_is_refused(tmp_path):
    home = release(tmp_path, train=[*TRAIN, "...", "x" * 40, "lang", "stumm"])
    (home / "clips/train0.mp3").write_bytes(b"no sound at all")
    (home / "clips/train1.mp3").unlink()
    clip(home / "clips/train8.mp3", seconds=1.5)
    soundfile.write(home / "clips/train9.mp3", np.zeros(32_000), 32_000, format="MP3")
    arrays = read(tmp_path, damaged=0.5)
    assert dict(arrays.skipped).keys() == {f"train{n}.mp3" for n in (0, 1, 6, 7, 8, 9)}
    reasons = dict(arrays.skipped)
    assert (reasons["train1.mp3"], reasons["train9.mp3"]) == ("no such clip", "silent")
    assert reasons["train6.mp3"] == "its sentence is empty"
    assert reasons["train7.mp3"] == "more than 25 characters per second"
    assert reasons["train8.mp3"] == "longer than 1.0625 s"
    assert len(arrays.train_inputs) == len(arrays.train_labels) == 4
    with pytest.raises(FrugalError, match="4 of 12 files can't be used, more than the share 0.01"):
        read(tmp_path)


def test_tables_that_are_not_a_releases_are_refused(tmp_path):
    home = release(tmp_path, columns=("client_id", "path", "text", "up_votes"))
    with pytest.raises(FrugalError, match="test.tsv has no column sentence, it has client_id, path, text"):
        read(tmp_path)
    with pytest.raises(FrugalError, match="dev.tsv can't be read as a table"):
        read(tmp_path, test=["dev.tsv"])
    with pytest.raises(FrugalError, match="has no cv/fr"):
        common_voice.read(tmp_path, tmp_path, language="fr", folders=["cv"])
    (home / "train.tsv").write_text("path\tsentence\n../secret.mp3\tja\n")
    (home / "test.tsv").write_text("path\tsentence\ntest0.mp3\tja\n")
    with pytest.raises(FrugalError, match="no clip of train.tsv can be used"):
        read(tmp_path, damaged=1.0)


@given(said=st.lists(TEXT, min_size=1, max_size=8), other=TEXT)
def test_symbols_give_back_the_text_but_for_characters_the_training_split_has_not(said, other):
    rows = np.empty(len(said), object)
    rows[:] = [Transcript(text, 100 + len(text)) for text in said]
    known = set("".join(said))
    transcripts = Transcripts(len(known) + 2, "here")
    transcripts.fit(rows)
    symbols = transcripts.facts["symbols"]
    encoded = transcripts.encode(rows, "train")
    assert [text_of([s for s in row[1:] if s], symbols, "?") for row in encoded] == said
    rows[0] = Transcript(other, 7)
    first = transcripts.encode(rows[:1], "test")[0]
    assert (first == OTHER).sum() == sum(character not in known for character in other)
    assert (first[0], len(first)) == (7, 1 + len(other))
    assert json.loads(json.dumps(transcripts.facts)) == transcripts.facts


def test_what_was_done_to_clips_is_in_the_notes(tmp_path):
    home = release(tmp_path)
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    soundfile.write(home / "clips/train0.mp3", np.stack([wave, wave], 1), 16_000, format="MP3")
    notes = read(tmp_path).notes
    assert "7 recordings were resampled to 16,000 samples per second" in notes
    assert "1 recordings have several channels, which were mixed by their mean" in notes


def test_an_mp3_that_breaks_off_is_listed(tmp_path):
    home = release(tmp_path)
    clip(home / "clips/train0.mp3", seconds=1.0)
    content = (home / "clips/train0.mp3").read_bytes()
    (home / "clips/train0.mp3").write_bytes(content[: len(content) // 2])
    assert read(tmp_path, damaged=0.5).skipped == (("train0.mp3", "cut off: it has less sound than its header says"),)
