"""Texts become the same tokens every time, learnt from the training split alone; what can't be read is said or listed."""

import hashlib
import io
import json
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal.data.cache import open_cache
from frugal.data.prepare import prepare
from frugal.data.sources import generated_text, imdb, textfolder
from frugal.data.text import Tokens, tokenizer_of
from frugal.errors import FrugalError

WORDS = ["good", "bad", "film", "soup", "warm", "cold"]


def write(folder, per_class=6, classes=("neg", "pos"), tree=""):
    """train/ and test/ with class folders of short texts."""
    for split in ("train", "test"):
        for label, name in enumerate(classes):
            place = folder / tree / split / name
            place.mkdir(parents=True)
            for number in range(per_class):
                text = f"{WORDS[label]} {WORDS[2 + number % 4]} {split} number {number}<br />über"
                (place / f"{number}_{label}.txt").write_text(text, encoding="utf-8")
    return folder / tree


def described(source, **options):
    about = {
        "name": "texts",
        "source": source,
        "shape": [16],
        "classes": 2,
        "validation": 4,
        "split_seed": 0,
        "dct": None,
    }
    return about | {"options": {"vocabulary": 300, "length": 16, **options}}


def fitted(texts, **options):
    encoder = Tokens(**({"vocabulary": 300, "length": 16} | options))
    encoder.fit(np.array(texts, object))
    return encoder


@settings(deadline=None, max_examples=50)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40), keep=st.sampled_from(["start", "end"]))
def test_tokens_read_back_as_the_text_or_the_end_of_it_that_was_kept(text, keep):
    encoder = fitted(["the film was good", "the soup was bad"], length=400, keep=keep)
    row = encoder.encode(np.array([text], object), "test")[0]
    ids = row[row != 0].tolist()
    tokenizer = tokenizer_of(encoder.documents["tokenizer.json"])
    normal = tokenizer.normalizer.normalize_str(text)
    assert tokenizer.decode(ids).strip() == normal.strip()
    short = fitted(["the film was good", "the soup was bad"], length=8, keep=keep).encode(
        np.array([text], object), "test"
    )[0]
    inner = ids[1:-1][:6] if keep == "start" else ids[1:-1][-6:]
    assert short[short != 0].tolist() == [ids[0], *inner, ids[-1]]


def test_a_prepared_text_set_is_the_same_every_time_and_learnt_from_the_training_split_alone(tmp_path):
    home = write(tmp_path / "data")
    for number, file in enumerate(sorted((home / "test").rglob("*.txt"))):
        file.write_text(f"zebra zebra zebra zebra {number}")  # often enough for a token, were the test texts looked at
    one, two = (prepare(described("textfolder"), tmp_path / name, tmp_path, home) for name in "ab")
    assert one.read_bytes() == two.read_bytes()
    cache = open_cache(one)
    assert (cache.kind, cache.array("train_tokens").shape, cache.array("train_tokens").dtype) == (
        "text",
        (8, 16),
        np.int16,
    )
    content = (one.parent / "tokenizer.json").read_bytes()
    assert cache.manifest["documents"]["tokenizer.json"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert cache.manifest["vocabulary"] == tokenizer_of(content).get_vocab_size()
    assert "zebra" not in content.decode()
    assert "number" in content.decode()
    (one.parent / "tokenizer.json").write_bytes(content[:-1] + b" ")
    with pytest.raises(FrugalError, match="tokenizer.json is damaged .its sha256"):
        open_cache(one)


def test_how_much_was_cut_off_is_noted(tmp_path):
    manifest = prepare(
        described("textfolder", length=5) | {"shape": [5], "allow_overlap": True},
        tmp_path / "a",
        tmp_path,
        write(tmp_path / "b"),
    )
    notes = json.loads(manifest.read_text())["notes"]
    train = next(note for note in notes if note.startswith("train: "))
    assert "from 8 of 8 texts that are longer than 3, the start was kept" in train


def test_texts_that_cannot_be_used_are_left_out_and_listed(tmp_path):
    home = write(tmp_path / "data", per_class=8)
    (home / "train/neg/3_0.txt").write_bytes(b"caf\xe9 au lait")
    (home / "test/pos/2_1.txt").write_text("  \n")
    prepare(described("textfolder", damaged=0.1), tmp_path / "a", tmp_path, home)
    listed = (tmp_path / "a/skipped.csv").read_text().splitlines()
    assert listed == ["file,reason", "train/neg/3_0.txt,not UTF-8: byte 0xe9 at 3", "test/pos/2_1.txt,empty"]
    with pytest.raises(FrugalError, match=r"2 of 32 files can't be used, more than the share 0.01.*3_0.txt .not UTF-8"):
        textfolder.read(home, tmp_path)


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (
            lambda home: [f.unlink() for f in (home / "train/neg").iterdir()],
            "train/neg has no .txt file; add some or remove",
        ),
        (lambda home: (home / "train/odd").mkdir(), "data/test has no class odd; both sets need every class"),
        (lambda home: (home / "test").rename(home / "tests"), "has no folder test"),
        (lambda home: (home / "train").rename(home / "training"), "has no train; put the data there"),
    ],
)
def test_a_folder_of_texts_that_is_not_as_described_is_refused(tmp_path, spoil, line):
    home = write(tmp_path / "data")
    spoil(home)
    with pytest.raises(FrugalError, match=line):
        textfolder.read(home, tmp_path)


def archive_of(folder, to):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(folder, "aclImdb")
        link = tarfile.TarInfo("aclImdb/train/pos/99_1.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    to.write_bytes(buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def test_imdb_is_the_same_from_a_folder_an_archive_or_a_download_and_unlabelled_reviews_stay_out(tmp_path, mirror):
    home = write(tmp_path / "data", tree="aclImdb")
    (home / "train/unsup").mkdir()
    (home / "train/unsup/0_0.txt").write_text("nobody knows")
    options = {"reviews": 6, "vocabulary": 300, "length": 16}
    read = imdb.read(tmp_path / "data", tmp_path, **options)
    assert (len(read.train_labels), len(read.test_labels), read.train_labels.sum()) == (12, 12, 6)
    (tmp_path / "packed").mkdir()
    sha256 = archive_of(home, tmp_path / "packed" / imdb.ARCHIVE)
    packed = imdb.read(tmp_path / "packed", tmp_path, sha256=sha256, **options)
    mirror.offer(f"/{imdb.ARCHIVE}", (tmp_path / "packed" / imdb.ARCHIVE).read_bytes())
    fetched = imdb.read(None, tmp_path / "downloads", sha256=sha256, mirrors=[mirror.url], **options)
    for other in (packed, fetched):
        assert other.train_inputs.tolist() == read.train_inputs.tolist()
        assert other.test_labels.tolist() == read.test_labels.tolist()
    with pytest.raises(FrugalError, match="is not the published file: sha256 expected c40f74a1"):
        imdb.read(tmp_path / "packed", tmp_path, **options)
    (home / "test/neg/0_0.txt").unlink()
    with pytest.raises(FrugalError, match="aclImdb has 11 test reviews instead of 12; unpack"):
        imdb.read(tmp_path / "data", tmp_path, **options)


@pytest.mark.parametrize("classes", [2, 4])
def test_generated_texts_are_labelled_as_generated_and_their_words_alone_do_not_tell_the_class(tmp_path, classes):
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    one, two = (generated_text.read(None, tmp_path, classes=classes) for _ in range(2))
    assert one.generated
    assert one.train_inputs.tolist() == two.train_inputs.tolist()
    assert not set(one.train_inputs) & set(one.test_inputs)
    assert np.bincount(one.train_labels).min() > 0.9 * len(one.train_labels) / classes
    words = CountVectorizer().fit(one.train_inputs)
    linear = LogisticRegression(max_iter=500).fit(words.transform(one.train_inputs), one.train_labels)
    assert linear.score(words.transform(one.test_inputs), one.test_labels) < (0.7 if classes == 2 else 0.6)
