"""A folder of image files becomes the same cache however often its reading is killed; what can't be used is named."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

import tiny
from frugal import registry
from frugal.data import dct, shards
from frugal.data.cache import open_cache
from frugal.data.device import Coefficients, split_class
from frugal.data.pictures import picture
from frugal.data.prepare import prepare, statistics
from frugal.data.rows import ComputedRows, Rows, pieces
from frugal.data.sources import imagefolder
from frugal.errors import FrugalError
from frugal.spec import RunSpec
from frugal.training.writer import metrics

ROOT = Path(__file__).parents[2]
CLASSES = ("ant", "bee", "cat")


def photograph(seed, width=40, height=30, mode="RGB"):
    """Smooth colours, other ones for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def save(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


@pytest.fixture
def pictures(tmp_path):
    """Eight training and four test images of three classes, of several shapes, in JPEG and PNG."""
    home = tmp_path / "data" / "photos"
    for label, name in enumerate(CLASSES):
        for part, count in (("train", 8), ("val", 4)):
            for n in range(count):
                seed = 100 * label + 10 * n + (part == "val")
                path = home / part / name / f"{n}.{'png' if n % 4 == 3 else 'JPEG'}"
                save(photograph(seed, 40 + n, 30 + 4 * label), path)
    return home


def described(**changes):
    """The data set of `pictures`."""
    return {
        "name": "photos",
        "source": "imagefolder",
        "shape": [3, 16, 16],
        "classes": 3,
        "validation": 6,
        "split_seed": 0,
        "options": {"folders": ["photos"], "size": 16},
        "dct": {"bits": 8},
        "images": True,
    } | changes


def prepared(tmp_path, threads=2, name="cache", **changes):
    manifest = prepare(described(**changes), tmp_path / name, tmp_path / "downloads", tmp_path / "data", threads)
    return open_cache(manifest)


def read(pictures, tmp_path, **options):
    return imagefolder.read(pictures.parent, tmp_path / "downloads", folders=["photos"], **{"size": 16, **options})


def test_every_image_is_there_once_with_its_class_in_sorted_order(pictures, tmp_path):
    arrays = read(pictures, tmp_path)
    assert arrays.train_labels.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    assert arrays.test_labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    files = sorted((pictures / "train").rglob("*.*"))
    for row, file in zip(arrays.train_inputs[:], files, strict=True):
        np.testing.assert_array_equal(row, picture(file.read_bytes(), 16, 16)[0])


@pytest.mark.parametrize(("width", "height"), [(400, 300), (300, 411), (64, 64), (128, 99), (1301, 900)])
@pytest.mark.parametrize("resize", [64, 73])
@pytest.mark.parametrize("suffix", ["JPEG", "PNG"])
def test_an_image_looks_as_torchvisions_transforms_show_it(width, height, resize, suffix, tmp_path):
    file = save(photograph(1, width, height), tmp_path / f"image.{suffix}")
    theirs = Compose([Resize(resize, InterpolationMode.BILINEAR), CenterCrop(64)])(Image.open(file).convert("RGB"))
    ours, done = picture(file.read_bytes(), resize, 64)
    assert ours.shape == (3, 64, 64)
    assert done == ()
    assert np.abs(ours - np.asarray(theirs, np.float32).transpose(2, 0, 1)).mean() < 5  # of 255


@pytest.mark.parametrize(
    ("mode", "suffix", "kind"),
    [
        ("L", "jpg", "grey-scale"),
        ("1", "png", "grey-scale"),
        ("LA", "png", "grey-scale"),
        ("P", "png", "palette"),
        ("CMYK", "jpg", "CMYK or other colours"),
        ("RGBA", "png", "transparent"),
        ("RGB", "webp", None),
        ("RGB", "bmp", None),
    ],
)
def test_every_kind_of_colours_becomes_rgb(mode, suffix, kind, tmp_path):
    source = photograph(5, 16, 16)
    file = save(source.convert(mode), tmp_path / f"image.{suffix}")
    pixels, done = picture(file.read_bytes(), 16, 16)
    assert done == ((f"were {kind} and are RGB now",) if kind else ())
    grey = mode in ("L", "LA", "1")
    expected = np.asarray(source.convert("1" if mode == "1" else "L").convert("RGB") if grey else source)
    assert np.abs(pixels.transpose(1, 2, 0).astype(int) - expected).mean() < 16


def damage(path, how):
    content = path.read_bytes()
    path.write_bytes(
        {"empty": b"", "cut": content[: len(content) // 2], "text": b"no image at all", "zip": b"PK\3\4"}[how]
    )


@pytest.mark.parametrize("how", ["empty", "cut", "text", "zip"])
@pytest.mark.parametrize("n", [2, 3], ids=["JPEG", "PNG"])
def test_a_damaged_image_is_left_out_counted_and_listed_with_its_reason(pictures, tmp_path, how, n):
    bad = next((pictures / "train" / "bee").glob(f"{n}.*"))
    damage(bad, how)
    save(photograph(3).convert("L"), pictures / "train/ant/0.JPEG")
    before = read(pictures, tmp_path, damaged=0.1)
    cache = prepared(tmp_path, options={"folders": ["photos"], "size": 16, "damaged": 0.1})
    assert before.train_labels.tolist() == [0] * 8 + [1] * 7 + [2] * 8
    assert cache.manifest["splits"] == {"train": 17, "validation": 6, "test": 12}
    rows = list(csv.DictReader((tmp_path / "cache/skipped.csv").open()))
    assert [row["file"] for row in rows] == [f"train/bee/{bad.name}"]
    assert rows[0]["reason"]
    assert cache.manifest["notes"] == [
        "1 images were grey-scale and are RGB now",
        "1 of 36 images are damaged and left out: see skipped.csv",
    ]


def test_more_damage_than_is_allowed_is_refused_with_a_list_of_all(pictures, tmp_path):
    bad = ["train/cat/1.JPEG", "val/ant/0.JPEG"]
    for name in bad:
        damage(pictures / name, "cut")
    with pytest.raises(
        FrugalError, match=r"2 of 36 images are damaged, e.g. .*cat/1.JPEG \(.*`damaged` allows 1.00%"
    ) as error:
        prepared(tmp_path)
    assert not (tmp_path / "cache/manifest.json").exists()
    assert str(error.value).endswith(
        f"with `damaged: 0.06` among the options of the data set; each of them is listed in {tmp_path / 'cache/skipped.csv'}"
    )
    assert [row["file"] for row in csv.DictReader((tmp_path / "cache/skipped.csv").open())] == bad
    assert prepared(tmp_path, options={"folders": ["photos"], "size": 16, "damaged": 0.06})


def empty_class(pictures):
    (pictures / "train/dog").mkdir()
    (pictures / "val/dog").mkdir()


def only_in_training(pictures):
    save(photograph(1), pictures / "train/dog/1.png")


def no_classes(pictures):
    for file in list((pictures / "val").rglob("*.*")):
        file.rename(pictures / "val" / f"{file.parent.name}-{file.name}")
    for place in CLASSES:
        (pictures / "val" / place).rmdir()


def no_test(pictures):
    (pictures / "val").rename(pictures / "validation")


def a_class_linked_to_nowhere(pictures):
    (pictures / "val/dog").symlink_to(pictures / "nowhere")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (empty_class, "train/dog has no image .*remove the empty class folder"),
        (only_in_training, "only the training images have a class dog"),
        (no_classes, "val has no class folders"),
        (no_test, "has no folder val or test; name yours"),
        (a_class_linked_to_nowhere, "val/dog is a link that leads nowhere; mend it or remove it"),
    ],
)
def test_folders_that_are_no_data_set_are_refused_in_one_line(pictures, tmp_path, change, says):
    change(pictures)
    with pytest.raises(FrugalError, match=says) as failed:
        read(pictures, tmp_path)
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"classes": 4}, "no sample of class 3"),
        ({"classes": 2}, "label 2, its entry of datasets.yaml says 2 classes"),
        ({"shape": [3, 24, 24]}, "correct `shape`"),
        ({"options": {"folders": ["fotos"], "size": 16}}, "has no folder fotos"),
        ({"options": {"folders": ["photos"], "size": 16, "train_resize": 8}}, "a 16 x 16 square doesn't fit"),
        ({"images": False, "dct": None}, "nothing would be kept"),
        ({"dct": {"bits": 8, "keep": 17}}, "dct keep is 17 .*the images have 16"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(pictures, tmp_path, changes, says):
    with pytest.raises(FrugalError, match=says):
        prepared(tmp_path, **changes)


def test_training_folders_in_several_parts_are_read_together(pictures, tmp_path):
    whole = read(pictures, tmp_path)
    (pictures / "train").rename(pictures / "train.X1")
    (pictures / "train.X2").mkdir()
    (pictures / "train.X1/cat").rename(pictures / "train.X2/cat")
    parts = read(pictures, tmp_path, train=["train", "train.X1", "train.X2"])
    np.testing.assert_array_equal(parts.train_inputs[:], whole.train_inputs[:])
    assert parts.train_labels.tolist() == whole.train_labels.tolist()


def start(tmp_path, pace):
    """Prepare in a process of its own, with shards of three images and a pause before each image."""
    program = f"""
import json, sys, time
from pathlib import Path
from frugal.data import shards
from frugal.data import prepare
shards.SHARD_BYTES = 3 * 3 * 16 * 16
real = shards.picture
shards.picture = lambda *a: (time.sleep({pace}), real(*a))[1]
folder = Path({str(tmp_path)!r})
prepare.prepare(json.loads(sys.argv[1]), folder / "cache", folder / "downloads", folder / "data", 2)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    return subprocess.Popen(
        [sys.executable, "-c", program, json.dumps(described())], env=environment, start_new_session=True
    )


def alive(session):
    """Processes of a session that still run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(entry.parent.name)
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_killed_it_leaves_no_process_and_goes_on_from_the_shards_that_are_done(pictures, tmp_path):
    whole = prepared(tmp_path, name="whole")
    process, deadline = start(tmp_path, 0.1), time.monotonic() + 60
    while len(done := list((tmp_path / "downloads").rglob("*.json"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "downloads").rglob("*.json")}
    assert 4 <= len(done) < 12
    while (left := alive(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []
    assert not (tmp_path / "cache/manifest.json").exists()
    process = start(tmp_path, 0.1)
    kept = {}
    while process.poll() is None:
        kept |= {path: path.stat().st_mtime_ns for path in done if path.exists()}
        time.sleep(0.02)
    assert process.returncode == 0
    assert kept == done  # found again, not made again
    assert open_cache(tmp_path / "cache/manifest.json").checksum == whole.checksum
    assert list((tmp_path / "downloads").rglob("*.npy")) == []  # nothing is kept twice


def test_a_changed_image_is_read_again(pictures, tmp_path):
    first = read(pictures, tmp_path)
    again = read(pictures, tmp_path)
    assert again.leftovers == first.leftovers
    save(photograph(999), pictures / "train/ant/0.JPEG")
    changed = read(pictures, tmp_path)
    assert not np.array_equal(changed.train_inputs[:1], again.train_inputs[:1])
    np.testing.assert_array_equal(changed.train_inputs[1:24], again.train_inputs[1:24])
    assert not first.leftovers.exists()


def test_the_cache_is_the_same_with_any_number_of_processes(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", 5 * 3 * 16 * 16)
    assert prepared(tmp_path, 1, "one").checksum == prepared(tmp_path, 3, "three").checksum


def test_a_cache_without_pixels_gives_what_its_coefficients_decode_to(pictures, tmp_path):
    whole = prepared(tmp_path, name="whole", dct={"bits": 16})
    small = prepared(tmp_path, name="small", dct={"bits": 16, "keep": 10}, images=False)
    assert not [name for name in small.arrays if name.endswith("_images")]
    assert small.array("train_coefficients").shape == (18, 3 * 10 * 10)
    np.testing.assert_array_equal(small.array("train_coefficients"), whole.array("train_coefficients")[:, :300])
    device = torch.device("cpu")
    split = split_class(small, "pixels")(small, "train", device)
    assert split.read(torch.arange(18)).shape == (18, 3, 16, 16)
    at_ten = Coefficients(whole, "train", device).read(torch.arange(18), [(10, 0, 18)])
    torch.testing.assert_close(split.read(torch.arange(18)), at_ten, atol=1e-5, rtol=0)
    split.take_bytes()
    split.read(torch.arange(4))
    assert split.take_bytes() == 4 * small.manifest["dct"]["bytes_per_sample"] == 4 * 600
    with pytest.raises(FrugalError, match="level 11 asks for more coefficients per axis than the store has, 10"):
        split_class(small, "coefficients")(small, "train", device).read(torch.arange(2), [(11, 0, 2)])
    with pytest.raises(FrugalError, match="has no train_images.*set `images: true`"):
        small.array("train_images")


def test_a_run_without_pixels_trains_on_what_is_decoded_and_counts_the_decoding(pictures, tmp_path):
    cache = prepared(tmp_path, dct={"bits": 8, "keep": 8}, images=False)
    dataset = {"name": "photos", "source": "imagefolder", "shape": (3, 16, 16), "classes": 3, "validation": 6}
    run = tiny.spec("full", recipe={"epochs": 2, "batch_size": 6, "augment": {"resized_crop": (0.5, 1), "flip": True}})
    run = RunSpec.model_validate(run.model_dump() | {"dataset": dataset})
    outcomes = []
    for residency in ("device", "streamed"):
        trainer = tiny.trainer(cache, run, residency=residency)
        trainer.run()
        outcomes.append(tiny.outcome(metrics(trainer, "fingerprint")))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0]["bytes_read"] == 2 * 18 * 3 * 8 * 8
    assert outcomes[0]["compression_ratio"] == 4
    assert outcomes[0]["flops_decoding"] > 0


def test_rows_on_disk_are_the_rows(tmp_path):
    whole = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 4), dtype=np.uint8)
    chosen = np.array([0, 1, 5, 6, 7, 12, 19, 3])
    rows = Rows([whole[:7], whole[7:8], whole[8:]]).select(chosen)
    np.testing.assert_array_equal(rows[:], whole[chosen])
    np.testing.assert_array_equal(rows[2:7:2], whole[chosen][2:7:2])
    np.testing.assert_array_equal(rows.select(np.array([4, 1]))[:], whole[chosen][[4, 1]])
    assert rows[9:].shape == (0, 3, 4, 4)
    doubled = ComputedRows(rows, lambda piece: piece.reshape(len(piece), -1) // 2, (48,), np.uint8)
    np.testing.assert_array_equal(np.concatenate(list(pieces(doubled))), whole[chosen].reshape(8, -1) // 2)
    assert (doubled.nbytes, rows.nbytes) == (8 * 48, 8 * 48)


def test_statistics_of_rows_are_those_of_the_pixels():
    images = np.random.default_rng(0).integers(0, 256, (30, 3, 9, 9), dtype=np.uint8)
    mean, std = statistics(Rows([images[:11], images[11:]]))
    np.testing.assert_allclose(mean, images.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, images.std((0, 2, 3)), rtol=1e-12)


def test_what_is_left_out_of_the_store_is_in_its_error():
    images = np.random.default_rng(0).integers(0, 256, (9, 1, 12, 12), dtype=np.uint8)
    errors = [dct.about(images, dct.fit(images, 16, keep))["rms_error"] for keep in (4, 8, 12)]
    assert errors[0] > errors[1] > 10 > 0.1 > errors[2]


def test_only_a_source_that_takes_threads_is_given_cores():
    taking = [name for name in registry.names("source") if registry.uses_threads(name)]
    assert taking == ["common_voice", "huggingface", "imagefolder", "imdb", "textfolder", "texts"]


@pytest.mark.skipif(
    not (Path(os.environ.get("FRUGAL_DATA", "/none")) / "imagenette-224").is_dir(),
    reason="needs imagenette-224 in FRUGAL_DATA",
)
def test_imagenette_is_read_whole(tmp_path):
    arrays = imagefolder.read(
        Path(os.environ["FRUGAL_DATA"]), tmp_path, 2, folders=["imagenette-224"], size=64, damaged=0.0
    )
    assert (len(arrays.train_inputs), len(arrays.test_inputs)) == (1000, 300)
    assert np.bincount(arrays.train_labels).tolist() == [100] * 10
    assert arrays.notes == ("24 images were grey-scale and are RGB now",)
