"""CIFAR is read from records, never from pickles: the published files or one clear line, whatever an archive holds."""

import hashlib
import io
import os
import pickle
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from frugal.data import cifar
from frugal.data.arrays import Arrays
from frugal.data.prepare import prepare
from frugal.data.sources import cifar10, cifar100
from frugal.errors import FrugalError

RECORDS = 20  # per file here
TINY = {"name": "tiny", "shape": [3, 32, 32], "validation": 20, "split_seed": 0, "options": {}, "dct": None}


def records(classes, seed):
    """A file's bytes, one label byte for each number of classes, with every class in turn."""
    count = max(RECORDS, *classes)
    labels = np.stack([np.arange(count) % number for number in classes], axis=1).astype(np.uint8)
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)
    return np.concatenate([labels, pixels], axis=1).tobytes()


def packed(members):
    """A tar.gz of {name: bytes, or a TarInfo without content}."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if content is info:
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


class Published:
    """A small data set in the publisher's format, which its source takes for the published one."""

    def __init__(self, source, monkeypatch):
        self.source, old = source, source.RELEASE
        self.classes = [classes for _, classes in old.labels]
        self.files = {}
        splits = {}
        for split in ("train", "test"):
            for file in getattr(old, split):
                self.files[file.name] = records(self.classes, seed=len(self.files))
            splits[split] = tuple(self.described(file) for file in getattr(old, split))
        self.folder, self.archive = old.folder, old.archive
        self.content = packed({f"{old.folder}/readme.html": b"hello", **self.members()})
        digest = hashlib.sha256(self.content).hexdigest()
        monkeypatch.setattr(source, "RELEASE", replace(old, sha256=digest, **splits))

    def described(self, file):
        content = self.files[file.name]
        count = len(content) // (len(self.classes) + 3072)
        return replace(file, records=count, sha256=hashlib.sha256(content).hexdigest())

    def members(self):
        return {f"{self.folder}/{name}": content for name, content in self.files.items()}

    def unpack(self, folder):
        (folder / self.folder).mkdir(parents=True)
        for name, content in self.members().items():
            (folder / name).write_bytes(content)
        return folder

    def pack(self, folder, content=None):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / self.archive).write_bytes(self.content if content is None else content)
        return folder


@pytest.fixture(params=[cifar10, cifar100], ids=["cifar10", "cifar100"])
def published(request, monkeypatch):
    return Published(request.param, monkeypatch)


@pytest.fixture
def ten(monkeypatch):
    return Published(cifar10, monkeypatch)


def same(one: Arrays, other: Arrays):
    parts = ("train_inputs", "train_labels", "test_inputs", "test_labels", "notes")
    return all(np.array_equal(getattr(one, part), getattr(other, part)) for part in parts)


def test_records_become_planes_and_labels(published, tmp_path):
    read = published.source.read(published.unpack(tmp_path / "data"), tmp_path / "downloads")
    content = np.concatenate([np.frombuffer(file, np.uint8) for file in published.files.values()])
    rows = content.reshape(-1, len(published.classes) + 3072)
    images, labels = (
        np.concatenate([read.train_inputs, read.test_inputs]),
        rows[:, -3073],
    )  # the label before the pixels
    assert images.shape == (len(rows), 3, 32, 32)
    assert images.dtype == np.uint8
    for place, (channel, row, column) in enumerate([(0, 0, 1), (1, 0, 0), (2, 31, 31)]):
        at = len(published.classes) + [1, 1024, 3071][place]
        np.testing.assert_array_equal(images[:, channel, row, column], rows[:, at])
    np.testing.assert_array_equal(np.concatenate([read.train_labels, read.test_labels]), labels)
    assert len(read.test_labels) == len(published.files[list(published.files)[-1]]) // rows.shape[1]
    assert read.notes == ()
    assert not (tmp_path / "downloads").exists()


def test_coarse_labels_are_the_first_byte(monkeypatch, tmp_path):
    folder = Published(cifar100, monkeypatch).unpack(tmp_path / "data")
    assert cifar100.read(folder, tmp_path).train_labels.tolist() == list(range(100))
    assert cifar100.read(folder, tmp_path, labels="coarse").train_labels.tolist() == [n % 20 for n in range(100)]


def test_it_is_the_same_unpacked_packed_and_downloaded_once(published, tmp_path, mirror):
    mirror.offer(f"/{published.archive}", published.content)
    read, mirrors = published.source.read, [mirror.url]
    unpacked = read(published.unpack(tmp_path / "unpacked"), tmp_path, mirrors=mirrors)
    repacked = packed({f"./{name}": content for name, content in reversed(published.members().items())})
    assert same(unpacked, read(published.pack(tmp_path / "packed"), tmp_path, mirrors=mirrors))
    assert same(unpacked, read(published.pack(tmp_path / "repacked", repacked), tmp_path, mirrors=mirrors))
    assert mirror.asked == []
    for folder in (None, tmp_path / "packed" / ".."):  # no data folder, and one without this data set
        assert same(unpacked, read(folder, tmp_path / "downloads", mirrors=mirrors))
    assert mirror.asked == [f"/{published.archive}"]


def test_a_download_that_is_not_the_published_archive_is_refused(ten, tmp_path, mirror):
    mirror.offer(f"/{ten.archive}", packed(ten.members() | {"more": b"x"}))
    with pytest.raises(FrugalError, match="not the published file, sha256"):
        cifar10.read(None, tmp_path / "downloads", mirrors=[mirror.url], verify=False)
    assert not (tmp_path / "downloads" / ten.archive).exists()


def test_who_has_the_pickled_version_only_is_told_so(ten, tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps(print))
    with pytest.raises(FrugalError, match=f"{ten.archive} is missing.*cifar-10-batches-py, .* is the pickled version"):
        cifar10.read(tmp_path, tmp_path / "downloads", mirrors=[])


def other_pixel(content):
    return content[:-1] + bytes([content[-1] ^ 1])


def test_an_unknown_file_is_refused_or_noted_and_a_known_copy_is_noted(ten, tmp_path, monkeypatch):
    folder = ten.unpack(tmp_path / "data")
    test, train = (folder / ten.folder / name for name in ("test_batch.bin", "data_batch_3.bin"))
    test.write_bytes(other_pixel(test.read_bytes()))
    digest = hashlib.sha256(test.read_bytes()).hexdigest()
    with pytest.raises(FrugalError, match=f"test_batch.bin is not the published .* found {digest}.*verify: false"):
        cifar10.read(folder, tmp_path)
    accepted = cifar10.read(folder, tmp_path, verify=False)
    assert len(accepted.notes) == 1
    assert accepted.notes[0].startswith(f"test_batch.bin was used unverified: its sha256 is {digest}")

    file = replace(cifar10.RELEASE.test[0], inexact=((digest, "one pixel is another"),))
    monkeypatch.setattr(cifar10, "RELEASE", replace(cifar10.RELEASE, test=(file,)))
    assert cifar10.read(folder, tmp_path).notes == ("test_batch.bin is not the published file: one pixel is another",)
    train.write_bytes(other_pixel(train.read_bytes()))  # a copy of one file says nothing about another
    with pytest.raises(FrugalError, match=r"data_batch_3.bin is not the published file: sha256 expected"):
        cifar10.read(folder, tmp_path)


NAME = "cifar-10-batches-bin/data_batch_2.bin"


def link(to):
    info = tarfile.TarInfo(NAME)
    info.type, info.linkname = tarfile.SYMTYPE, to
    return info


def wrong_label(content):
    return content[: 3073 * 7] + b"\x0a" + content[3073 * 7 + 1 :]


SPOILT = {
    "missing": (lambda members: members.pop(NAME), r"has no .*data_batch_2\.bin"),
    "truncated": (lambda members: members.update({NAME: members[NAME][:-1]}), r"has 61,459 bytes, 20 .* are 61,460"),
    "a record short": (lambda members: members.update({NAME: members[NAME][:-3073]}), "has 58,387 bytes"),
    "longer": (lambda members: members.update({NAME: members[NAME] * 2}), "has 122,920 bytes"),
    "empty": (lambda members: members.update({NAME: b""}), "has 0 bytes"),
    "wrong label": (
        lambda members: members.update({NAME: wrong_label(members[NAME])}),
        r"data_batch_2.bin is damaged: record 7 has the label 10, there are 10 \(0 to 9\)",
    ),
}


@pytest.mark.parametrize(("spoil", "says"), SPOILT.values(), ids=SPOILT)
@pytest.mark.parametrize("form", ["unpacked", "packed"])
def test_what_is_damaged_is_one_line_even_unverified(ten, tmp_path, form, spoil, says):
    members = ten.members()
    spoil(members)
    ten.files = {Path(name).name: content for name, content in members.items()}
    folder = ten.unpack(tmp_path / "data") if form == "unpacked" else ten.pack(tmp_path / "data", packed(members))
    config = TINY | {"source": "cifar10", "classes": 10, "options": {"verify": False, "mirrors": []}}
    with pytest.raises(FrugalError, match=says) as refused:
        prepare(config, tmp_path / "cache", tmp_path / "downloads", folder)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "cache" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda name: {name: link("/etc/passwd")}, r"data_batch_2.bin is a link or no plain file"),
        (lambda name: {f"../{name}": b"evil"}, "has no cifar-10-batches-bin/data_batch_2.bin"),
        (lambda name: {f"/{name}": b"evil"}, "has no cifar-10-batches-bin/data_batch_2.bin"),
        (lambda name: {f"x/../{name}": b"evil"}, "has no cifar-10-batches-bin/data_batch_2.bin"),
    ],
    ids=["link", "above", "absolute", "through"],
)
def test_a_hostile_archive_is_refused_and_writes_nothing(ten, tmp_path, change, says):
    members = {name: content for name, content in ten.members().items() if name != NAME}
    folder = ten.pack(tmp_path / "in" / "data", packed(members | change(NAME) | {"../../evil": b"evil"}))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FrugalError, match=says):
        cifar10.read(folder, tmp_path / "downloads", verify=False)
    assert sorted(tmp_path.rglob("*")) == before


def test_members_that_are_not_asked_for_are_passed_over(ten, tmp_path):
    folder = ten.pack(tmp_path / "in" / "data", packed({"../../evil": b"evil", "/evil": b"evil", **ten.members()}))
    before = sorted(tmp_path.rglob("*"))
    assert len(cifar10.read(folder, tmp_path / "downloads").train_labels) == 5 * RECORDS
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("damage", [lambda c: c[: len(c) // 2], lambda c: b"<html>", lambda c: b"", lambda c: c[:5000]])
def test_a_damaged_archive_is_one_line(ten, tmp_path, damage):
    folder = ten.pack(tmp_path, damage(ten.content))
    with pytest.raises(FrugalError, match=f"{ten.archive} is damaged or no tar.gz") as refused:
        cifar10.read(folder, tmp_path / "downloads")
    assert "\n" not in str(refused.value)


def test_coarse_labels_with_100_classes_are_refused(monkeypatch, tmp_path):
    folder = Published(cifar100, monkeypatch).unpack(tmp_path / "data")
    config = TINY | {"source": "cifar100", "classes": 100, "options": {"labels": "coarse"}}
    with pytest.raises(FrugalError, match="training set has no sample of class 20"):
        prepare(config, tmp_path / "cache", tmp_path, folder)
    with pytest.raises(FrugalError, match="labels is 'both'"):
        prepare(config | {"options": {"labels": "both"}}, tmp_path / "cache", tmp_path, folder)


def test_the_published_files_are_described_in_full():
    for source in (cifar10, cifar100):
        release = source.RELEASE
        assert sum(file.records for file in release.train) == 50_000
        assert sum(file.records for file in release.test) == 10_000
        assert all(len(file.sha256) == 64 for file in (*release.train, *release.test))
        assert release.record == 3072 + len(release.labels)
    assert all(mirror.startswith("https://") for mirror in cifar.MIRRORS)


@pytest.mark.skipif(
    not (Path(os.environ.get("FRUGAL_DATA") or "/nowhere") / cifar10.RELEASE.folder).is_dir(),
    reason="needs real CIFAR-10, binary version, in the folder FRUGAL_DATA names",
)
def test_cifar_10_is_the_published_one(tmp_path):
    read = cifar10.read(Path(os.environ["FRUGAL_DATA"]), tmp_path, mirrors=[])
    assert np.bincount(read.train_labels).tolist() == [5000] * 10
    assert np.bincount(read.test_labels).tolist() == [1000] * 10
    assert read.train_labels[:5].tolist() == [6, 9, 9, 4, 1]
    assert read.test_labels[:5].tolist() == [3, 8, 8, 0, 6]
    for channel, (mean, deviation) in enumerate([(0.4914, 0.2470), (0.4822, 0.2435), (0.4465, 0.2616)]):
        plane = read.train_inputs[:, channel]
        assert round(plane.mean() / 255, 4) == mean  # the figures everyone uses
        assert round(plane.std() / 255, 4) == deviation
    assert all(note.startswith("test_batch.bin") for note in read.notes)  # the training files are exact
