"""Splits are apart: no class is lost to the test set, and what is in two splits is counted, told, and refused if it is much."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from frugal.data import overlap
from frugal.data import prepare as prepare_module
from frugal.data.arrays import check_inputs
from frugal.data.overlap import Split, hashes, overlaps
from frugal.data.prepare import prepare
from frugal.data.rows import Rows
from frugal.data.sources import common_voice, idx, imagefolder, textfolder
from frugal.data.split import absent, keep_apart, split_off
from frugal.errors import FrugalError


def to_idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def prepared(tmp_path, shared, labels_differ=False, **changes):
    """Notes of a set of 200 training images and 100 test images, of which some are the training set's first."""
    generator = np.random.default_rng(0)
    train, test = generator.integers(0, 256, (200, 6, 6)), generator.integers(0, 256, (100, 6, 6))
    test[:shared] = train[:shared]
    home = tmp_path / "d"
    home.mkdir()
    labels = np.arange(200) % 4
    names = ["a", "b", "c", "d"]
    of_test = (np.arange(100) + labels_differ) % 4
    for name, array in zip(names, (train, labels, test, of_test), strict=True):
        (home / name).write_bytes(to_idx(array))
    about = {"name": "tiny", "source": "idx", "shape": [1, 6, 6], "classes": 4, "validation": 8, "split_seed": 0}
    about |= {"options": {"files": names}, "dct": None} | changes
    return json.loads(prepare(about, tmp_path / "out", tmp_path, home).read_text())["notes"]


def counted(notes):
    """How many test samples are in training and in validation."""
    found = [note for note in notes if note.startswith("test: ") and "too, byte for byte" in note]
    return sum(int(note.split()[1]) for note in found)


def test_samples_that_are_in_two_splits_are_counted_and_told(tmp_path, capsys):
    notes = prepared(tmp_path, shared=4)
    assert counted(notes) == 4
    assert "too, byte for byte, 0 of them with other labels only" in capsys.readouterr().err


def test_labels_that_contradict_the_other_split_are_told(tmp_path):
    notes = prepared(tmp_path, shared=4, labels_differ=True)
    assert sum(int(note.split("byte for byte, ")[1].split()[0]) for note in notes if note.startswith("test: ")) == 4


def test_nothing_is_told_where_nothing_is_shared(tmp_path):
    assert counted(prepared(tmp_path, shared=0)) == 0


def test_a_test_set_of_which_much_is_trained_on_is_refused_unless_allowed(tmp_path):
    for folder in ("few", "many", "allowed"):
        (tmp_path / folder).mkdir()
    assert counted(prepared(tmp_path / "few", shared=5)) == 5
    with pytest.raises(
        FrugalError, match=r"data set tiny: 6 of 100 test samples \(6.0%\) .*first is test sample 0, .*allow"
    ) as no:
        prepared(tmp_path / "many", shared=6)
    assert "\n" not in str(no.value)
    assert not (tmp_path / "many/out/manifest.json").exists()
    notes = prepared(tmp_path / "allowed", shared=6, allow_overlap=True)
    assert counted(notes) == 6
    assert "as `allow_overlap` permits" in notes[-1]


@pytest.mark.parametrize("kind", ["image", "text", "table", "sound"])
def test_every_kind_is_compared(kind):
    generator = np.random.default_rng(0)
    dtype = {"image": np.uint8, "text": np.int16, "table": np.float32, "sound": np.int16}[kind]
    rows = (generator.random((300, 5, 8)) * 250).astype(dtype)
    splits = {
        part: Split(hashes(rows[start:stop]), hashes(np.arange(start, stop) % 3))
        for part, (start, stop) in {"train": (0, 200), "validation": (200, 220), "test": (190, 300)}.items()
    }
    with pytest.raises(FrugalError, match="30 of 110 test samples"):
        overlaps(splits, kind, "d", allowed=False)
    assert any("test: 10 of 110" in note for note in overlaps(splits, kind, "d", allowed=True))


@given(npst.arrays(np.int16, st.tuples(st.integers(1, 12), st.integers(1, 6)), elements=st.integers(0, 2)))
def test_rows_have_one_hash_where_they_are_equal_and_else_another(rows):
    equal = (rows[:, None] == rows[None]).all(axis=2)
    found = hashes(rows)
    np.testing.assert_array_equal(found[:, None] == found[None], equal)


@given(st.lists(st.integers(-3, 9), min_size=1), st.lists(st.integers(0, 12), min_size=1))
def test_members_are_those_numpy_finds(few, many):
    np.testing.assert_array_equal(overlap.among(np.array(few), np.array(many)), np.isin(few, many))


def test_images_on_disk_are_read_once_for_statistics_and_hashes():
    images = np.random.default_rng(0).integers(0, 256, (30, 3, 4, 4)).astype(np.uint8)
    seen = overlap.Hashed()
    prepare_module.statistics(Rows([images[:11], images[11:]]), seen)
    np.testing.assert_array_equal(seen.hashes, hashes(images))


def split(features, labels, rows=None):
    return Split(hashes(np.array(features)), hashes(np.array(labels)), None if rows is None else np.array(rows))


@pytest.mark.parametrize(
    ("label", "rows", "refused"),
    [(0, None, True), (1, None, False), (0, [7], True), (0, [8], False)],
    ids=["same label", "other label", "the same row", "another passenger"],
)
def test_a_row_of_a_table_is_a_copy_where_all_of_it_is_equal(label, rows, refused):
    splits = {
        "train": split([[1.5, 2.5]], [0], rows and [7]),
        "validation": split([[3.0, 4.0]], [0], rows and [9]),
        "test": split([[1.5, 2.5]], [label], rows),
    }
    if refused:
        with pytest.raises(FrugalError, match="row for row"):
            overlaps(splits, "table", "d", allowed=False)
    else:
        assert "1 of 1 samples have the features of one in train" in overlaps(splits, "table", "d", allowed=False)[0]


@given(
    st.lists(st.integers(1, 6), min_size=2, max_size=6),
    st.integers(0, 2**16),
    st.floats(0, 1),
)
def test_every_class_is_trained_on(counts, seed, share):
    labels = np.repeat(np.arange(len(counts)), counts)
    least, most = len(counts), len(labels) - len(counts)
    samples = round(least + share * (most - least))
    if not least <= samples <= min(most, sum(count - 1 for count in counts)):
        with pytest.raises(FrugalError, match="test_samples is"):
            split_off(labels, samples, seed, "test_samples")
        return
    rest, part = split_off(labels, samples, seed, "test_samples")
    assert sorted([*rest, *part]) == list(range(len(labels)))
    assert len(part) == samples
    assert set(labels[rest]) == set(labels)


def test_a_class_of_two_rows_is_not_lost_to_the_test_set():
    labels = np.repeat([0, 1], [98, 2])
    for seed in range(20):
        rest, _ = split_off(labels, 80, seed, "test_samples")
        assert set(labels[rest]) == {0, 1}


def test_a_class_of_one_row_is_trained_on_and_its_absence_told():
    labels = np.repeat([0, 1, 2], [20, 20, 1])
    rest, part = split_off(labels, 8, 0, "test_samples")
    assert 40 in rest
    assert absent({"test": labels[part]}, 3) == [
        "test: no sample of 1 of 3 classes, so it says nothing of them: 2",
    ]


def test_a_split_that_cannot_have_every_class_names_the_rarest_ones():
    with pytest.raises(FrugalError, match=r"choose from 2 to 8, .* rarest classes \(samples\) are 1 \(2\), 0 \(8\)"):
        split_off(np.repeat([0, 1], [8, 2]), 9, 0, "test_samples")


def folder_of_photographs(tmp_path):
    for n in range(12):
        (tmp_path / "d" / ["ant", "bee"][n % 2]).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(n).integers(0, 256, (12, 10, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "d" / ["ant", "bee"][n % 2] / f"{n}.png")
    return tmp_path / "d"


@pytest.mark.parametrize("allow_overlap", [False, True])
def test_one_folder_for_two_splits_is_refused(tmp_path, allow_overlap):
    about = {"name": "p", "source": "imagefolder", "shape": [3, 8, 8], "classes": 2, "validation": 2, "split_seed": 0}
    about |= {"dct": None, "allow_overlap": allow_overlap, "options": {"size": 8, "train": ["."], "test": ["."]}}
    with pytest.raises(
        FrugalError, match="named for option train and for option test, .*move the test images of each class"
    ):
        prepare(about, tmp_path / "out", tmp_path, folder_of_photographs(tmp_path))


def test_the_advice_of_a_folder_without_splits_works(tmp_path):
    home = folder_of_photographs(tmp_path)
    with pytest.raises(
        FrugalError, match="two different ones: move the test images of each class to a folder of their own"
    ):
        imagefolder.read(home, tmp_path / "dl", size=8)
    for name in ("ant", "bee"):
        for part, files in (
            ("val", sorted((home / name).iterdir())[:2]),
            ("train", sorted((home / name).iterdir())[2:]),
        ):
            (home / part / name).mkdir(parents=True)
            for file in files:
                file.rename(home / part / name / file.name)
    read = imagefolder.read(home, tmp_path / "dl", size=8)
    assert (len(read.train_labels), len(read.test_labels)) == (8, 4)


def test_folders_that_lie_in_each_other_or_are_linked_are_one(tmp_path):
    (tmp_path / "all/test").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "all")
    (tmp_path / "all-2").mkdir()
    with pytest.raises(FrugalError, match="all/test, named for test, lies in .*all, named for train"):
        keep_apart([("train", tmp_path / "all"), ("test", tmp_path / "all/test")], "")
    with pytest.raises(FrugalError, match="is named for train and for test"):
        keep_apart([("train", tmp_path / "all"), ("test", tmp_path / "link")], "")
    keep_apart([("train", tmp_path / "all"), ("test", tmp_path / "all-2")], "")


def test_one_file_for_two_splits_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(to_idx(np.arange(72).reshape(2, 6, 6)))
    (tmp_path / "b").write_bytes(to_idx(np.arange(2)))
    with pytest.raises(FrugalError, match="the training images and for the test images"):
        idx.read(tmp_path, tmp_path, files=["a", "b", "a", "b"])
    for name in ("neg", "pos"):
        (tmp_path / "train" / name).mkdir(parents=True)
    (tmp_path / "test").symlink_to(tmp_path / "train")
    with pytest.raises(FrugalError, match="named for train and for test"):
        textfolder.read(tmp_path, tmp_path)
    (tmp_path / "cv-corpus/fa").mkdir(parents=True)
    with pytest.raises(FrugalError, match="named for option train and for option test"):
        common_voice.read(tmp_path, tmp_path, language="fa", train=["a.tsv"], test=["a.tsv"])


@pytest.mark.parametrize("odd", [np.inf, np.nan])
def test_a_number_that_is_not_finite_is_refused_in_every_source(odd):
    features = np.zeros((5, 3), np.float32)
    features[3, 1] = odd
    with pytest.raises(FrugalError, match=rf"the test set: features row 3, column 1 \(from 0\) is {odd}"):
        check_inputs(features, "table", "d", "test", [3])
