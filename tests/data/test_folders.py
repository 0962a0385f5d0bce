"""What lies in a folder of data besides data is left out and counted; what is linked is read once; what can't be is listed."""

import csv
import json
import os
import re
import shutil

import numpy as np
import pytest
import soundfile
from PIL import Image

from frugal.data import shards
from frugal.data.folders import LITTER, Folders, limited, shown
from frugal.data.prepare import prepare
from frugal.data.sources import imagefolder, spoken_digits, textfolder
from frugal.errors import FrugalError

SPLITS = {"train": 4, "val": 2}


def picture_of(seed):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8))


@pytest.fixture
def home(tmp_path):
    """Four training and two test images, all different, of each of two classes."""
    for split, count in SPLITS.items():
        for label, name in enumerate(("ant", "bee")):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for n in range(count):
                picture_of([label, n, count]).save(tmp_path / "data" / split / name / f"{n}.png")
    return tmp_path / "data"


def read(home, **options):
    return imagefolder.read(home, home.parent / "downloads", size=8, **options)


def counts(arrays):
    return np.bincount(arrays.train_labels).tolist(), np.bincount(arrays.test_labels).tolist()


def prepared(home, out="cache", **options):
    """The manifest, and the rows of skipped.csv."""
    about = {"name": "photos", "source": "imagefolder", "shape": [3, 8, 8], "classes": 2, "validation": 2}
    about |= {"split_seed": 0, "dct": None, "options": {"size": 8, "damaged": 0.5, **options}}
    manifest = prepare(about, home.parent / out, home.parent / "downloads", home)
    with open(manifest.parent / "skipped.csv", newline="") as file:
        return json.loads(manifest.read_bytes()), list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["@eaDir", ".ipynb_checkpoints", "__MACOSX", "lost+found", "$RECYCLE.BIN", ".Trash-0"])
def test_copies_that_other_programs_leave_are_no_samples_and_no_class(home, name):
    for place in (home / "train", home / "train/ant", home / "val/bee"):
        (place / name).mkdir()
        shutil.copy(home / "train/bee/0.png", place / name / "copy.png")
    arrays = read(home)
    assert counts(arrays) == ([4, 4], [2, 2])
    what = "hidden" if name.startswith(".") else name
    assert arrays.notes == (f"not data, and not looked at: 3 {what}",)


def test_hidden_files_and_the_thumbnails_of_systems_count_as_nothing(home):
    for name in ("._0.png", ".DS_Store", ".hidden.png"):
        shutil.copy(home / "train/ant/0.png", home / "train/ant" / name)
    (home / "train/Thumbs.db").write_bytes(b"thumbs")
    arrays = read(home)
    assert counts(arrays) == ([4, 4], [2, 2])
    assert arrays.notes == ("not data, and not looked at: 1 Thumbs.db, 3 hidden",)


def test_every_entry_of_the_list_can_match():
    assert all(name == name.lower() and not name.startswith(".") for name in LITTER)


@pytest.mark.parametrize("target", ["..", "../..", ".", "../bee", "../../val", "../../val/ant", "../../.."])
def test_a_link_to_a_folder_that_is_read_anyway_or_above_it_adds_nothing(home, target):
    (home / "train/ant/more").symlink_to(target, target_is_directory=True)
    arrays = read(home)
    assert counts(arrays) == ([4, 4], [2, 2])
    assert any(
        "1 links lead to folders that are read anyway, or above" in n and "train/ant/more" in n for n in arrays.notes
    )


def test_links_to_folders_elsewhere_are_followed_once(home, tmp_path):
    elsewhere = tmp_path / "store"
    (elsewhere / "deep").mkdir(parents=True)
    for n in range(3):
        picture_of(70 + n).save(elsewhere / "deep" / f"new{n}.png")
    (elsewhere / "back").symlink_to(home / "train")
    (elsewhere / "round").symlink_to(elsewhere)
    for name in ("a", "b"):
        (home / "train/bee" / name).symlink_to(elsewhere)
    shutil.move(home / "val/ant", tmp_path / "linked")
    (home / "val/ant").symlink_to(tmp_path / "linked")
    arrays = read(home)
    assert counts(arrays) == ([4, 7], [2, 2])
    assert any(note.startswith("3 links lead to folders that are read anyway") for note in arrays.notes)
    whole = Folders(home, (".png",), "image", "images")
    files = whole.files(whole.classes([home / "train"]))["bee"]
    assert [str(file.relative_to(home / "train/bee")) for file in files][-3:] == [
        f"a/deep/new{n}.png" for n in range(3)
    ]


def test_a_file_reached_twice_within_a_class_counts_once(home):
    (home / "train/ant/again.png").symlink_to("0.png")
    os.link(home / "train/ant/1.png", home / "train/ant/hard.png")
    shutil.move(home / "train/ant/2.png", home.parent / "kept.png")
    (home / "train/ant/2.png").symlink_to(home.parent / "kept.png")
    arrays = read(home)
    assert counts(arrays) == ([4, 4], [2, 2])
    assert arrays.notes == (
        "2 files are other images of their class by another name and count once, e.g. train/ant/again.png",
    )


def test_two_classes_that_are_one_folder_are_refused(home):
    (home / "train/cat").symlink_to("bee")
    with pytest.raises(FrugalError, match="train: classes bee and cat are the same folder; remove the link"):
        read(home)


def test_endings_ignore_case_and_what_is_not_read_is_counted_by_ending(home):
    for number, ending in enumerate(("JPG", "JPE", "jfif", "Jpeg", "webp", "BMP", "tiff", "GIF")):
        path = home / "train/ant" / f"x.{ending}"
        picture_of(50 + number).save(path, {"JPG": "JPEG", "JPE": "JPEG", "Jpeg": "JPEG", "jfif": "JPEG"}.get(ending))
    for name in ("a.heic", "b.HEIC", "labels.txt", "README", "Mr. Ant's own"):
        (home / "train/ant" / name).write_bytes(b"?")
    (home / "train/classes.csv").write_bytes(b"?")
    os.mkfifo(home / "val/ant/pipe.png")  # would be waited for
    arrays = read(home)
    assert counts(arrays) == ([12, 4], [2, 2])
    assert arrays.notes == (
        "1 images were palette and are RGB now",  # the GIF
        "not read: 2 .heic, 2 without an ending, 1 .txt, 1 that are no regular files",
        "beside the class folders and not read: 1 .csv",
    )


def test_a_class_without_an_image_is_named_with_what_it_holds(home):
    for file in (home / "val/bee").iterdir():
        file.rename(file.with_suffix(".heic"))
    with pytest.raises(FrugalError, match="val/bee has no image .*, only 2 .heic; add some or remove"):
        read(home)


def test_a_class_of_which_no_image_can_be_read_is_named(home):
    for file in (home / "val/bee").iterdir():
        file.write_bytes(b"no image")
    with pytest.raises(
        FrugalError, match="every one of the 2 images of a class is damaged, the first is .*val/bee/0.png"
    ):
        read(home, damaged=1.0)


def test_a_folder_that_cannot_be_entered_is_said_and_not_passed_over(home, monkeypatch):
    (home / "train/ant/closed").mkdir()
    real = os.scandir

    def scandir(place):
        if str(place).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(place))
        return real(place)

    monkeypatch.setattr("os.scandir", scandir)
    with pytest.raises(FrugalError, match="ant/closed can't be read: Permission denied; mend that"):
        read(home)


def test_links_to_nowhere_and_strange_names_are_listed_like_all_damage_and_the_same_every_time(home):
    odd = {os.fsdecode(b"caf\xe9.png"): r"caf\xe9.png", "a,b.png": "a,b.png", "two\nlines.png": "two\nlines.png"}
    odd |= {'"quoted".png': '"quoted".png', "\r.png": "\\r.png"}
    for name in odd:
        (home / "train/ant" / name).write_bytes(b"no image")
    (home / "train/bee/gone.png").symlink_to("nowhere.png")
    (home / "train/bee/round.png").symlink_to("round.png")
    manifest, rows = prepared(home)
    reasons = {row["file"]: row["reason"] for row in rows}
    assert reasons.keys() == {f"train/ant/{name}" for name in odd.values()} | {
        "train/bee/gone.png",
        "train/bee/round.png",
    }
    assert reasons["train/bee/gone.png"] == reasons["train/bee/round.png"] == "a link that leads nowhere"
    assert reasons["train/ant/a,b.png"] == "no image of a known format"
    assert manifest["splits"] == {"train": 6, "validation": 2, "test": 4}
    shutil.rmtree(home.parent / "downloads")
    again, same_rows = prepared(home, "again")
    assert (again["checksum"], same_rows) == (manifest["checksum"], rows)
    with pytest.raises(FrugalError) as refused:
        prepared(home, "refused", damaged=0.0)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("skipped", [7, 14, 28, 29, 55, 57, 58, 99])  # 0.29 * 100 is 28.999999999999996
@pytest.mark.parametrize("of", [100, 101, 200, 300])
def test_the_share_that_is_suggested_is_not_refused_again(tmp_path, skipped, of):
    listed, images = [(str(n), "cut off") for n in range(skipped)], [shards.Image(tmp_path, "a", 16)] * of
    with pytest.raises(FrugalError, match=r"mend them, or leave them out with `damaged: ") as told:
        limited(listed, of, 0.0)
    share = float(re.search(r"`damaged: ([\d.]+)`", str(told.value))[1])
    assert limited(listed, of, share)
    shards._check([(n, "cut off") for n in range(skipped)], share, images)
    with pytest.raises(FrugalError, match=f"allows 0.00%: replace them, or leave them out with `damaged: {share:g}`"):
        shards._check([(n, "cut off") for n in range(skipped)], 0.0, images)


def test_where_all_are_damaged_no_share_is_suggested(tmp_path):
    with pytest.raises(FrugalError, match="; mend them$"):
        limited([("a", "cut off")] * 3, 3, 0.5)
    with pytest.raises(FrugalError, match="allows 100.00%: replace them$"):
        shards._check([(n, "cut off") for n in range(3)], 1.0, [shards.Image(tmp_path, "a", 16)] * 3)


def test_a_name_within_a_message_is_one_printable_line():
    assert shown(os.fsdecode(b"\xff\n\t\xc3\xa9")) == r"\xff\n\té"


def texts(home):
    for split in ("train", "test"):
        for name in ("neg", "pos"):
            (home / split / name).mkdir(parents=True)
            for n in range(3):
                (home / split / name / f"{n}.{'TXT' if n == 1 else 'txt'}").write_text(f"{split} {name} {n}")
    return home


def test_texts_in_folders_are_read_by_the_same_rules(tmp_path):
    home = texts(tmp_path / "texts")
    (home / "train/.ipynb_checkpoints").mkdir()
    (home / "train/neg/@eaDir").mkdir()
    (home / "train/neg/@eaDir/0.txt").write_text("a copy")
    (home / "train/neg/up").symlink_to("..")
    (home / "train/neg/notes.md").write_text("no sample")
    (home / "train/pos/gone.txt").symlink_to("nowhere.txt")
    (home / "train/pos" / os.fsdecode(b"\xe9.txt")).write_bytes(b"\xff\xfe")
    arrays = textfolder.read(home, tmp_path, damaged=0.5)
    assert counts(arrays) == ([3, 3], [3, 3])
    assert arrays.train_inputs.tolist() == [f"train {name} {n}" for name in ("neg", "pos") for n in range(3)]
    assert arrays.skipped == (
        ("train/pos/gone.txt", "a link that leads nowhere"),
        (r"train/pos/\xe9.txt", "not UTF-8: byte 0xff at 0"),
    )
    assert arrays.notes[:3] == (
        "classes: neg, pos",
        "not read: 1 .md",
        "not data, and not looked at: 1 @eaDir, 1 hidden",
    )
    for file in (home / "test/pos").iterdir():
        file.write_bytes(b"  ")
    with pytest.raises(FrugalError, match="test/pos: none of its 3 texts can be used, the last is empty"):
        textfolder.read(home, tmp_path, damaged=1.0)


def test_recordings_are_read_by_the_same_rules(tmp_path):
    place = tmp_path / "recordings"
    (place / "old").mkdir(parents=True)
    for digit in range(10):
        for take in (4, 5):
            wave = np.full(50, 0.1 + digit / 100 + take / 1000)
            soundfile.write(place / f"{digit}_ann_{take}.{'WAV' if digit == 3 else 'wav'}", wave, 8000)
    shutil.copy(place / "0_ann_4.wav", place / "._0_ann_4.wav")
    (place / "README.md").write_text("about")
    (place / "1_ann_6.wav").symlink_to("nowhere.wav")
    arrays = spoken_digits.read(tmp_path, tmp_path, folders=["."], length=50, damaged=0.5)
    assert counts(arrays) == ([1] * 10, [1] * 10)
    assert arrays.skipped == (("1_ann_6.wav", "a link that leads nowhere"),)
    assert arrays.notes[1:3] == ("not read: 1 .md, 1 that are folders", "not data, and not looked at: 1 hidden")
