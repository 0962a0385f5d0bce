"""Sources give the published data or one clear line; what is prepared from them is split honestly."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from frugal import failed, imports, registry
from frugal.data import dct
from frugal.data.arrays import Arrays
from frugal.data.cache import open_cache
from frugal.data.prepare import prepare
from frugal.data.sources import digits, idx, mnist
from frugal.errors import FrugalError

ROOT = Path(__file__).parents[2]
TINY = {
    "name": "tiny",
    "source": "idx",
    "shape": [1, 6, 6],
    "classes": 4,
    "validation": 8,
    "split_seed": 0,
    "options": {},
    "dct": {"bits": 8},
}


def put(files, folder, unzipped=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if unzipped:
            (folder / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


def checksums(files):
    """Of the files as published, and gunzipped."""
    both = files | {name.removesuffix(".gz"): gzip.decompress(content) for name, content in files.items()}
    return {name: hashlib.sha256(content).hexdigest() for name, content in both.items()}


def same(one: Arrays, other: Arrays):
    return all(
        np.array_equal(getattr(one, part), getattr(other, part))
        for part in ("train_inputs", "train_labels", "test_inputs", "test_labels")
    )


def test_digits_are_whole_and_split_the_same_way_every_time(tmp_path):
    read = digits.read(None, tmp_path)
    assert same(read, digits.read(None, tmp_path))
    assert not same(read, digits.read(None, tmp_path, test_seed=1))
    assert (len(read.train_labels), len(read.test_labels)) == (1437, 360)
    images = np.concatenate([read.train_inputs, read.test_inputs])
    assert images.shape == (1797, 1, 8, 8)
    assert len(np.unique(images)) == 17
    assert (images.min(), images.max()) == (0, 255)
    shares = np.bincount(read.test_labels) / np.bincount(np.concatenate([read.train_labels, read.test_labels]))
    assert abs(shares - 0.2).max() < 0.004
    assert not any(tmp_path.iterdir())


def has_mnist(folder):
    return any(idx.present(Path(folder) / place, name) for place in mnist.FOLDERS for name in idx.FILES)


@pytest.mark.skipif(
    not has_mnist(os.environ.get("FRUGAL_DATA") or "/nowhere"),
    reason="needs real MNIST in the folder FRUGAL_DATA names",
)
def test_mnist_is_the_published_one(tmp_path):
    read = mnist.read(Path(os.environ["FRUGAL_DATA"]), tmp_path, mirrors=[])
    assert read.train_inputs.shape == (60000, 1, 28, 28)
    assert read.test_inputs.shape == (10000, 1, 28, 28)
    assert read.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert read.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert round(read.train_inputs.mean() / 255, 4) == 0.1307  # the figures everyone uses
    assert round(read.train_inputs.std() / 255, 4) == 0.3081
    assert read.notes == ()


@pytest.mark.parametrize("unzipped", [False, True])
@pytest.mark.parametrize("place", ["MNIST/raw", "mnist", "."])
def test_mnist_is_found_where_people_have_it(published, tmp_path, monkeypatch, place, unzipped):
    monkeypatch.setattr(mnist, "SHA256", checksums(published))
    put(published, tmp_path / "data" / place, unzipped)
    read = mnist.read(tmp_path / "data", tmp_path / "downloads", mirrors=[])
    assert same(read, idx.read(put(published, tmp_path / "as-published"), tmp_path))
    assert not (tmp_path / "downloads").exists()


def test_mnist_is_downloaded_once_where_it_is_missing(published, tmp_path, monkeypatch, mirror):
    monkeypatch.setattr(mnist, "SHA256", checksums(published))
    for name, content in published.items():
        mirror.offer(f"/{name}", content)
    first = mnist.read(None, tmp_path / "downloads", mirrors=[mirror.url])
    second = mnist.read(None, tmp_path / "downloads", mirrors=[mirror.url])
    labels = "t10k-labels-idx1-ubyte.gz"
    partly = put({name: content for name, content in published.items() if name != labels}, tmp_path / "data")
    third = mnist.read(partly, tmp_path / "elsewhere", mirrors=[mirror.url])
    assert same(first, second)
    assert same(first, third)
    assert sorted(mirror.asked) == sorted([f"/{name}" for name in published] + [f"/{labels}"])


def test_one_data_set_is_never_completed_with_the_files_of_another(published, tmp_path):
    put(dict(list(published.items())[:3]), tmp_path / "fashion")
    put(published, tmp_path / "digits")
    with pytest.raises(FrugalError, match="t10k-labels.* is missing and no mirror .*into .*/fashion or .*/downloads"):
        idx.read(tmp_path, tmp_path / "downloads", folders=["fashion", "digits"])


def test_a_data_set_without_checksums_says_so_and_one_with_them_does_not(published, tmp_path):
    folder = put(published, tmp_path / "data")
    notes = idx.read(folder, tmp_path).notes
    assert len(notes) == 4
    known = checksums(published)
    for note, name in zip(notes, published, strict=True):
        assert note.startswith(f"{name} was not verified")
        assert known[name] in note
    assert idx.read(folder, tmp_path, sha256=known).notes == ()


def test_preparation_splits_by_class_and_leaves_test_alone(published, tmp_path):
    folder = put(published, tmp_path / "data")
    read = idx.read(folder, tmp_path)
    cache = open_cache(prepare(TINY, tmp_path / "cache", tmp_path, folder))
    other = open_cache(prepare(TINY | {"split_seed": 1}, tmp_path / "other", tmp_path, folder))
    assert cache.manifest["splits"] == {"train": 32, "validation": 8, "test": 20}
    assert np.bincount(cache.array("validation_labels")).tolist() == [2, 2, 2, 2]
    assert cache.checksum != other.checksum
    for each in (cache, other):
        together = np.concatenate([each.array("train_images"), each.array("validation_images")])
        assert sorted(image.tobytes() for image in together) == sorted(image.tobytes() for image in read.train_inputs)
        np.testing.assert_array_equal(each.array("test_images"), read.test_inputs)
        np.testing.assert_array_equal(each.array("test_labels"), read.test_labels)
    pixels = cache.array("train_images").astype(np.float64)  # validation and test have no say in these
    np.testing.assert_allclose([cache.manifest["mean"], cache.manifest["std"]], [[pixels.mean()], [pixels.std()]])
    quantiser = dct.Quantiser(cache.array("dct_step"), cache.array("dct_offset"), 8, 6)
    for part in ("train", "validation", "test"):
        coefficients = dct.encode(cache.array(f"{part}_images"), quantiser)
        np.testing.assert_array_equal(cache.array(f"{part}_coefficients"), coefficients)
    np.testing.assert_allclose(dct.decode(cache.array("train_coefficients"), quantiser, 6), pixels, atol=8)


def change(name, index, value):
    """Change one label of a published file."""

    def changed(files):
        content = bytearray(gzip.decompress(files[name]))
        content[index] = value
        files[name] = gzip.compress(bytes(content))

    return changed


def without_class_3(files):
    name = "train-labels-idx1-ubyte.gz"
    content = gzip.decompress(files[name])
    files[name] = gzip.compress(content[:8] + content[8:].replace(b"\3", b"\0"))


def black(files):
    name = "train-images-idx3-ubyte.gz"
    content = gzip.decompress(files[name])
    files[name] = gzip.compress(content[:16] + bytes(len(content) - 16))


def swapped(files):
    one, other = "train-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte.gz"
    files[one], files[other] = files[other], files[one]


@pytest.mark.parametrize(
    ("config", "spoil", "says"),
    [
        (
            {"shape": [1, 8, 8]},
            None,
            r"tiny: the training set has images of shape \[1, 6, 6\], .* says \[1, 8, 8\]; correct",
        ),
        ({"shape": [3, 6, 6]}, None, r"shape \[1, 6, 6\], .* says \[3, 6, 6\]"),
        ({"classes": 3}, None, r"label 3, .* says 3 classes \(0 to 2\)"),
        ({"classes": 5}, None, "training set has no sample of class 4"),
        ({}, without_class_3, "training set has no sample of class 3"),
        ({}, change("t10k-labels-idx1-ubyte.gz", -1, 9), "test set has label 9"),
        ({}, swapped, "training set has 40 images and 20 labels"),
        ({}, black, "channel 0 of every training image is 0"),
        ({"validation": 40}, None, "tiny: validation is 40 of 40 samples; choose from 4 to 36"),
        ({"validation": 41}, None, "validation is 41 of 40"),
        ({"validation": 0}, None, "validation is 0 of 40"),
        ({"source": "mnits"}, None, "unknown source 'mnits'; did you mean mnist"),
        ({"options": {"folder": "x"}}, None, "has no parameter 'folder'; did you mean folders"),
        ({"options": {"mirrors": 3}}, None, "mirrors is 3"),
        ({"options": {"files": ["one.gz"]}}, None, "option `files` of the data set names 1 files; name four"),
        (
            {"options": {"sha256": {"train-images-idx3-ubyte.gz": "0" * 64}}},
            None,
            "sha256 expected 0{64}, found [0-9a-f]{64}",
        ),
        ({}, lambda files: files.pop("train-images-idx3-ubyte.gz"), "train-images-idx3-ubyte.gz is missing"),
        (
            {},
            lambda files: files.update({"t10k-images-idx3-ubyte.gz": b"<html>"}),
            "t10k-images-idx3-ubyte.gz is damaged",
        ),
    ],
)
def test_what_does_not_fit_is_one_line_and_no_cache(published, tmp_path, config, spoil, says):
    if spoil:
        spoil(published)
    with pytest.raises(FrugalError, match=says) as refused:
        prepare(TINY | config, tmp_path / "cache", tmp_path / "downloads", put(published, tmp_path / "data"))
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "cache" / "manifest.json").exists()


def test_the_command_ends_with_one_line_and_a_status_and_leaves_why_until_it_succeeds(tmp_path, published):
    command = [
        sys.executable,
        ROOT / "scripts/prepare.py",
        "--dataset",
        json.dumps(TINY),
        "--downloads",
        tmp_path / "downloads",
    ]
    command += ["--out", tmp_path / "cache/manifest.json"]
    environment = os.environ | {"FRUGAL_DATA": str(tmp_path / "nowhere")}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert f"frugal: the data folder {tmp_path}/nowhere does not exist" in ended.stderr
    assert not list(tmp_path.rglob("manifest.json"))
    left = failed.read(tmp_path / "cache")
    assert left.spec == TINY
    assert left.why.startswith(f"the data folder {tmp_path}/nowhere does not exist")
    assert left.log == str(tmp_path / "cache/prepare.log")
    put(published, tmp_path / "nowhere")
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0
    assert failed.read(tmp_path / "cache") is None


def test_data_sets_of_the_config_have_known_sources_and_options():
    for name, dataset in yaml.safe_load((ROOT / "config/datasets.yaml").read_text()).items():
        registry.check("source", dataset["source"], dataset.get("options", {}), name)


def test_preparing_depends_on_no_training_code():
    files = imports.closure(imports.PREPARATION, "frugal.data.sources.mnist")
    library = ROOT / "scripts/frugal"
    rooms = {file.relative_to(library).parts[0] for file in files if file.is_relative_to(library)}
    assert not rooms & {"training", "strategies", "models", "measure", "report", "spec.py"}
    assert ROOT / "scripts/frugal/data/sources/idx.py" in files
    assert ROOT / "scripts/frugal/data/sources/digits.py" not in files


def test_an_import_is_found_wherever_a_statement_can_stand(tmp_path):
    file = tmp_path / "nested.py"
    file.write_text(
        "import frugal.a\nclass C:\n  def f(self):\n    for x in y:\n      from frugal.b import g\n"
        "    else:\n      import frugal.c\n"
        "try:\n  import frugal.d\nexcept ValueError:\n  import frugal.e\nfinally:\n  import frugal.f\n"
        "match x:\n  case 1:\n    with y:\n      import frugal.g\nif x:\n  pass\nelif y:\n  import frugal.h\n"
    )
    found = imports._imported_modules(file)
    assert found == tuple(sorted([*(f"frugal.{letter}" for letter in "abcdefgh"), "frugal.b.g"]))
