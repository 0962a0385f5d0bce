"""A cache knows what it was made from: changed files are noticed by a look, and told from touched ones by their content."""

import json
import os
import shutil

import pytest

from frugal.data import made_from, prepare
from frugal.data.cache import open_cache
from frugal.faults.accidents import write_letters

LETTERS = {
    **{"name": "letters", "source": "idx", "shape": [1, 12, 12], "classes": 10, "validation": 100, "split_seed": 0},
    **{"dct": None, "images": True},
    "options": {"folders": ["letters"], "files": ["train-images", "train-labels", "test-images", "test-labels"]},
}
TABLE = {
    **{
        "name": "table",
        "source": "table",
        "shape": [1],
        "classes": 2,
        "validation": 4,
        "split_seed": 0,
        "dct": None,
    },
    "options": {"path": "my.csv", "target": "y", "numeric": ["x"], "test": 4},
}
TEXTS = {
    **{
        "name": "texts",
        "source": "textfolder",
        "shape": [8],
        "classes": 2,
        "validation": 2,
        "split_seed": 0,
        "dct": None,
    },
    "options": {"length": 8, "vocabulary": 270},
    "allow_overlap": True,  # a few short texts
}


def write_table(folder, last=19.5):
    folder.mkdir(exist_ok=True)
    rows = [f"{x if x < 19 else last},{x % 2}" for x in range(20)]
    (folder / "my.csv").write_text("\n".join(["x,y", *rows, ""]))


def write_texts(folder):
    for split in ("train", "test"):
        for name in ("bad", "good"):
            (folder / split / name).mkdir(parents=True)
            for place in range(4):
                (folder / split / name / f"{place}.txt").write_text(f"{name} words, text {place} of {split}")


@pytest.fixture(params=[(TABLE, write_table), (LETTERS, lambda f: write_letters(f / "letters")), (TEXTS, write_texts)])
def prepared(request, tmp_path):
    """A data folder, a function that prepares it, and the cache's folder."""
    dataset, write = request.param
    write(tmp_path / "data")

    def again(folder=tmp_path / "data"):
        return open_cache(prepare.prepare(dataset, tmp_path / "cache", tmp_path / "downloads", folder)).checksum

    return tmp_path / "data", again, tmp_path / "cache"


def files_of(data):
    return sorted(path for path in data.rglob("*") if path.is_file())


def touch(path):
    os.utime(path, (1, 1))


def test_nothing_changed(prepared):
    data, again, cache = prepared
    again()
    assert made_from.changed(cache, data) is None
    assert made_from.changed(cache, None) is None, "who names no folder means the one it was made from"


def test_touched_files_are_read_and_the_cache_stays(prepared, capsys, monkeypatch):
    data, again, cache = prepared
    before = again()
    file = files_of(data)[-1]
    touch(file)
    assert made_from.changed(cache, data) == f"{file} has another time than when the cache was made"
    monkeypatch.setattr(prepare, "_prepare", None)  # would fail if it was called
    assert again() == before
    assert "every file has the same content: the cache stays" in capsys.readouterr().err
    assert made_from.changed(cache, data) is None


def test_other_content_is_prepared_anew_and_the_file_is_named(prepared, capsys):
    data, again, cache = prepared
    before = again()
    file = files_of(data)[0]  # of the table the only one, of the images a test set's, of the texts a test set's
    content = file.read_bytes()
    place = len(content) - 2 if file.suffix == ".csv" else 0 if file.suffix == ".txt" else len(content) - 1
    file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    touch(file)
    assert str(file) in made_from.changed(cache, data)
    assert again() != before
    assert f"prepared anew: {file} has other content" in capsys.readouterr().err
    assert made_from.changed(cache, data) is None


def test_a_folder_of_the_same_content_elsewhere_keeps_the_cache(prepared, tmp_path):
    data, again, cache = prepared
    before = again()
    shutil.copytree(data, tmp_path / "elsewhere", copy_function=shutil.copyfile)
    assert made_from.changed(cache, tmp_path / "elsewhere")
    assert again(tmp_path / "elsewhere") == before
    assert made_from.changed(cache, tmp_path / "elsewhere") is None
    shutil.rmtree(data)
    assert made_from.changed(cache, None) is None, "it was noted where they are now"


def test_data_that_is_gone_is_not_missed_but_a_part_of_it_is(prepared, tmp_path):
    data, again, cache = prepared
    again()
    files = files_of(data)
    if len(files) > 1:
        files[0].rename(tmp_path / "aside")
        assert made_from.changed(cache, data) == f"{files[0]} is not there any more"
        (tmp_path / "aside").rename(files[0])
    shutil.rmtree(data)
    assert made_from.changed(cache, data) is None
    assert made_from.changed(cache, tmp_path / "elsewhere"), "where the user says the data is, it has to be"


def test_a_new_file_of_a_folder_that_was_read_whole_is_noticed(tmp_path):
    write_texts(tmp_path / "data")
    cache = tmp_path / "cache"
    prepare.prepare(TEXTS, cache, tmp_path / "downloads", tmp_path / "data")
    (tmp_path / "data/train/README").write_text("no text of a class")
    assert made_from.changed(cache, tmp_path / "data") is None
    (tmp_path / "data/train/good/new.txt").write_text("one more")
    assert "has 9 files now and had 8" in made_from.changed(cache, tmp_path / "data")


def test_a_manifest_and_a_list_of_two_preparations_are_noticed(tmp_path):
    write_table(tmp_path / "data")
    cache = tmp_path / "cache"
    manifest = prepare.prepare(TABLE, cache, tmp_path / "downloads", tmp_path / "data")
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"made_from": "another"}))
    assert "is not that of this cache" in made_from.changed(cache, tmp_path / "data")
    (cache / made_from.NAME).unlink()
    assert "can't be read" in made_from.changed(cache, tmp_path / "data")


def test_bundled_data_has_nothing_to_look_at(tmp_path):
    digits = TABLE | {
        "name": "digits",
        "source": "digits",
        "shape": [1, 8, 8],
        "classes": 10,
        "options": {},
        "validation": 180,
    }
    prepare.prepare(digits, tmp_path, tmp_path / "downloads", None)
    assert made_from.changed(tmp_path, tmp_path / "anywhere") is None
    assert not (tmp_path / made_from.NAME).exists()


def test_whether_preparing_has_anything_to_do(tmp_path):
    """As `make speedrun` asks, which must not write anew what a training is reading."""
    data, cache = tmp_path / "data", tmp_path / "cache"
    write_table(data)
    assert not prepare.is_current(TABLE, cache, data)
    prepare.prepare(TABLE, cache, tmp_path / "downloads", data)
    assert prepare.is_current(TABLE, cache, data)
    assert not prepare.is_current(TABLE | {"split_seed": 1}, cache, data)
    write_table(data, last=20.5)
    assert not prepare.is_current(TABLE, cache, data)
    prepare.prepare(TABLE, cache, tmp_path / "downloads", data)
    with open(next(cache.glob("train_*.npy")), "ab") as file:
        file.write(b"more")
    assert not prepare.is_current(TABLE, cache, data)


def test_a_cache_tells_an_entry_that_it_was_not_made_for(prepared):
    _, again, cache = prepared
    again()
    entry = json.loads((cache / "manifest.json").read_text())["entry"]
    assert made_from.entry_changed(cache, entry) is None
    assert made_from.entry_changed(cache, entry | {"a_new_setting": None}) is None, "caches of before it was there stay"
    assert made_from.entry_changed(cache, entry | {"split_seed": 7, "name": "other"}) == (
        f"name was {entry['name']}, is other, split_seed was 0, is 7"
    )
    (cache / "manifest.json").write_text("{")
    assert made_from.entry_changed(cache, entry) is None, "whoever opens it says what is wrong"
