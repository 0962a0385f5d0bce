"""Whatever bytes a file holds, a reader returns data or refuses it in one line: it never crashes, hangs or runs them."""

import gzip
import io
import json
import os
import pickle
import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import tiny
from frugal.data.cache import open_cache
from frugal.data.idx import read_idx
from frugal.data.pictures import Damaged, picture
from frugal.data.sound import Waves
from frugal.data.sources import table as table_source
from frugal.data.textfiles import from_archive
from frugal.errors import FrugalError
from frugal.training.checkpoint import Checkpoints

MANY, FEW = settings(max_examples=150, deadline=None), settings(max_examples=20, deadline=None)


def complaint(read, *refusals) -> str | None:
    """What the reader says against a file, in one line; None where it reads it."""
    try:
        read()
    except refusals as refused:
        return str(refused)
    return None


def idx() -> bytes:
    return b"\0\0\x08\x03" + np.array([2, 4, 4], ">u4").tobytes() + bytes(range(32))


def archive() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name in ("train/neg/0_1.txt", "train/pos/0_9.txt", "test/neg/0_2.txt", "test/pos/0_8.txt"):
            info, content = tarfile.TarInfo(name), f"a text of {name}".encode()
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def table() -> bytes:
    rows = [f"{i},{i % 3 or ''},{'ab'[i % 2]},{'yes' if i % 2 else 'no'}" for i in range(12)]
    return "\n".join(["age,fare,port,sold", *rows]).encode()


def wave() -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, np.sin(np.arange(400) / 9) / 2, 8000, format="WAV")
    return stream.getvalue()


def mp3() -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, np.sin(np.arange(4000) / 9) / 2, 8000, format="MP3")
    return stream.getvalue()


def image(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.arange(12 * 10 * 3, dtype=np.uint8).reshape(12, 10, 3)).save(stream, kind)
    return stream.getvalue()


@contextmanager
def file_of(content: bytes, suffix: str):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"file{suffix}")
        path.write_bytes(content)
        yield path


def read_table(path):
    options = {"target": "sold", "numeric": ["age", "fare"], "categorical": ["port"], "test": 4}
    return table_source.read(path.parent, path.parent, path=path.name, **options)


READERS = {  # a sound file, its suffix, its reader, and what else than FrugalError may say no
    "idx": (idx, "", lambda path: read_idx(path, (1, 3))),
    "idx gzipped": (lambda: gzip.compress(idx()), ".gz", lambda path: read_idx(path, (1, 3))),
    "texts": (archive, ".tar.gz", lambda p: from_archive(p, {"train": "train", "test": "test"}, ["neg", "pos"])),
    "table": (table, ".csv", read_table),
    "wave": (wave, ".wav", lambda path: Waves(400, 8000).read([(path, 0)])),
    "mp3": (mp3, ".mp3", lambda path: Waves(400, 8000).read([(path, 0)])),
    "jpeg": (lambda: image("JPEG"), ".jpg", lambda path: picture(path.read_bytes(), 8, 8)),
    "png": (lambda: image("PNG"), ".png", lambda path: picture(path.read_bytes(), 8, 8)),
}
SOUND = {name: make() for name, (make, _, _) in READERS.items()}


@st.composite
def spoilt(draw, content: bytes) -> bytes:
    """The content with some bytes changed, taken out, put in or cut off; or bytes of another origin altogether."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    for _ in range(draw(st.integers(1, 4))):
        at, length = draw(st.integers(0, len(content))), draw(st.integers(0, 8))
        put = draw(st.one_of(st.binary(max_size=8), st.just(content[at : at + 40])))
        content = content[:at] + put + (b"" if draw(st.integers(0, 5)) == 0 else content[at + length :])
    return content


@pytest.mark.parametrize("name", READERS)
@MANY
@given(data=st.data())
def test_a_reader_refuses_in_one_line_whatever_it_cannot_read(name, data):
    _, suffix, read = READERS[name]
    with file_of(data.draw(spoilt(SOUND[name])), suffix) as path:
        said = complaint(lambda: read(path), FrugalError, Damaged)
        assert said is None or (said and "\n" not in said)


@pytest.mark.parametrize("name", READERS)
def test_the_sound_files_are_read(name):
    """Else the test above would show nothing."""
    _, suffix, read = READERS[name]
    with file_of(SOUND[name], suffix) as path:
        read(path)


@FEW
@given(data=st.data())
def test_a_damaged_cache_is_refused_and_never_half_read(data):
    with tempfile.TemporaryDirectory() as folder:
        manifest = tiny.write_digits(Path(folder))
        file = Path(folder, data.draw(st.sampled_from(sorted(os.listdir(folder)))))
        before = file.read_bytes()
        file.write_bytes(data.draw(spoilt(before[:300])) + before[300:])
        if file.read_bytes() == before or file.suffix == ".lock":
            open_cache(manifest)
            return
        said = complaint(lambda: open_cache(manifest), FrugalError)
        if said is None:  # white space, or a key that is no content
            assert open_cache(manifest).manifest["files"] == json.loads(before)["files"]
        else:
            assert "\n" not in said
            assert "run again" in said


class Bomb:
    """What a pickle could do to whoever loads it."""

    def __reduce__(self):
        return os.mkdir, (os.environ["FRUGAL_TEST_BOMB"],)


@FEW
@given(data=st.data())
def test_a_damaged_checkpoint_falls_back_to_the_one_before_or_is_refused(data):
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder), "f" * 64)
        for step in (1, 2):
            checkpoints.save(step, {"step": step, "weights": torch.arange(4.0)})
        newest = checkpoints.folder / "step-000000002.pt"
        before = newest.read_bytes()
        newest.write_bytes(data.draw(spoilt(before)))
        assert checkpoints.load()["step"] == (2 if newest.read_bytes() == before else 1)
        (checkpoints.folder / "step-000000001.pt").write_bytes(b"")
        if newest.read_bytes() != before:
            with pytest.raises(FrugalError, match="no checkpoint in .* is sound"):
                checkpoints.load()


@pytest.mark.parametrize("where", ["checkpoint", "cache"])
def test_a_pickle_is_refused_and_never_run(tmp_path, monkeypatch, where):
    """Even one whose checksums are right, as who can write there would make it."""
    monkeypatch.setenv("FRUGAL_TEST_BOMB", str(tmp_path / "exploded"))
    if where == "checkpoint":
        checkpoints = Checkpoints(tmp_path, "f" * 64)
        checkpoints.save(1, {"weights": Bomb()})
        with pytest.raises(FrugalError, match="no checkpoint in .* is sound"):
            checkpoints.load()
    else:
        manifest = tiny.write_digits(tmp_path / "data")
        array = tmp_path / "data" / "train_labels.npy"
        array.write_bytes(pickle.dumps(Bomb()))
        content = json.loads(manifest.read_text())
        monkeypatch.setattr("frugal.data.cache._sha256", lambda path: content["files"][path.name]["sha256"])
        content["files"]["train_labels.npy"]["bytes"] = array.stat().st_size
        monkeypatch.setattr("frugal.data.cache._checksum", lambda _: content["checksum"])
        manifest.write_text(json.dumps(content))
        with pytest.raises(FrugalError, match="no .npy file of plain numbers"):
            open_cache(manifest)
    assert not (tmp_path / "exploded").exists()


def test_an_archive_of_zeros_that_unpacks_to_a_hundred_times_its_size_fills_no_memory(tmp_path):
    bomb = tmp_path / "bomb.tar.gz"
    with tarfile.open(bomb, "w:gz") as tar:
        for name in ("train/neg/0_1.txt", "train/pos/0_9.txt", "test/neg/0_2.txt", "test/pos/0_8.txt"):
            info = tarfile.TarInfo(name)
            info.size = 40 << 20 if "0_9" in name else 9
            tar.addfile(info, io.BytesIO(bytes(info.size) if "0_9" in name else b"some text"))
    read = from_archive(bomb, {"train": "train", "test": "test"}, ["neg", "pos"])
    assert read["train"].skipped == [("train/pos/0_9.txt", "larger than 16 MiB")]
    assert read["test"].labels == [0, 1]
