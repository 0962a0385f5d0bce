"""Data as people have it, each by at most six lines of YAML: what nobody said is found out, told, and stands in the manifest."""

import gzip
import io
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from PIL import Image
from pyarrow import feather, ipc, parquet

from data.conftest import idx_bytes
from frugal import registry
from frugal.data.cache import open_cache
from frugal.data.prepare import prepare
from frugal.errors import FrugalError
from frugal.spec import Dataset, DatasetSpec, parse

rng = np.random.default_rng(0)
WORDS = {"good": "a fine and warm play", "bad": "dull and far too long"}
TEXTS = [(f"{WORDS[label]} number {n}", label) for n in range(30) for label in WORDS]


def png(n, size=(8, 8)):
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(n).integers(0, 256, (*size, 3), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


def photographs(at):
    for label, name in enumerate(("ant", "bee")):
        (at / "birds" / name).mkdir(parents=True)
        for n in range(20):
            (at / "birds" / name / f"{n}.png").write_bytes(png(100 * label + n, (8 + n % 3, 9)))


def frame():
    colours, places = np.array(["red", "green", "NA"]), np.array(["no ", "yes", "no"])
    return pd.DataFrame(
        {"price": rng.normal(9, 2, 60).round(2), "age": rng.integers(20, 70, 60), "colour": colours[np.arange(60) % 3]}
        | {"sold": places[rng.permutation(60) % 3]}
    )


def tables(at):
    frame().to_csv(at / "sales.csv", sep=";", index=False, encoding="cp1252")
    frame().assign(colour=lambda f: f.colour + "é").to_csv(at / "sales.tsv", sep="\t", index=False, encoding="utf-16")
    parquet.write_table(pa.Table.from_pandas(frame()), at / "sales.parquet")
    feather.write_feather(pa.Table.from_pandas(frame()), str(at / "sales.feather"))


def texts(at):
    pd.DataFrame(TEXTS, columns=["review", "opinion"]).to_csv(at / "reviews.csv", index=False)
    lines = [json.dumps({"text": text, "label": 5 + (label == "bad")}) for text, label in TEXTS]
    (at / "reviews.jsonl").write_text("\n".join(lines))


def arrays(at):
    images, labels = rng.integers(0, 256, (50, 8, 8, 3), dtype=np.uint8), np.array(["b", "a"])[np.arange(50) % 2]
    np.savez(at / "images.npz", x_train=images[:40], y_train=labels[:40], x_test=images[40:], y_test=labels[40:])
    np.save(at / "x.npy", rng.random((40, 5)))
    np.save(at / "y.npy", np.arange(40) % 4 - 2)


def saved(at):
    """What `Dataset.save_to_disk` leaves: Arrow streams, whose schema says what the columns are."""
    features = {
        "text": {"dtype": "string", "_type": "Value"},
        "label": {"names": ["neg", "pos"], "_type": "ClassLabel"},
    }
    about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    for split, part in (("train", TEXTS[:40]), ("test", TEXTS[40:])):
        table = pa.table({"text": [text for text, _ in part], "label": [int(label == "good") for _, label in part]})
        (at / "opinions" / split).mkdir(parents=True)
        with ipc.new_stream(
            at / "opinions" / split / "data-00000-of-00001.arrow", table.schema.with_metadata(about)
        ) as out:
            out.write_table(table.replace_schema_metadata(about))
        state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_indices_files": None}
        (at / "opinions" / split / "state.json").write_text(json.dumps(state))
    (at / "opinions" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')


def parquets(at):
    (at / "shapes" / "data").mkdir(parents=True)
    for split, count in (("train", 30), ("validation", 10)):
        images = [{"bytes": png(count + n), "path": f"{n}.png"} for n in range(count)]
        table = pa.table({"image": images, "label": [n % 2 for n in range(count)]})
        parquet.write_table(table, at / "shapes" / "data" / f"{split}-00000-of-00001.parquet")


def fashion(at):
    (at / "FashionMNIST/raw").mkdir(parents=True)
    for name, count in (("train", 60), ("t10k", 20)):
        for what, array in (
            ("images-idx3", rng.integers(0, 256, (count, 9, 9))),
            ("labels-idx1", np.arange(count) % 10),
        ):
            content = idx_bytes(array)
            (at / f"FashionMNIST/raw/{name}-{what}-ubyte").write_bytes(content)
            (at / f"FashionMNIST/raw/{name}-{what}-ubyte.gz").write_bytes(gzip.compress(content, mtime=0))


# Who makes the files; the entry; shape, classes, and samples of each split; what is among `inferred`.
KINDS = {
    "photographs": (
        photographs,
        "{source: imagefolder, validation: 0.1, options: {folders: [birds], size: 8, test: 0.25}}",
        ([3, 8, 8], 2, (27, 3, 10)),
        {"class names": ["ant", "bee"]},
    ),
    "csv": (
        tables,
        "{source: table, options: {path: sales.csv, target: sold}}",
        ([5], 2, (43, 5, 12)),
        {
            "separator": ";",
            "encoding": "utf-8",
            "columns": {"price": "numeric", "age": "numeric", "colour": "categorical, 3 names"},
        },
    ),
    "tsv": (
        tables,
        "{source: table, options: {path: sales.tsv, target: sold}}",
        ([5], 2, (43, 5, 12)),
        {"separator": "\t", "encoding": "utf-16, by its byte-order mark"},
    ),
    "parquet": (tables, "{source: table, options: {path: sales.parquet, target: sold}}", ([5], 2, (43, 5, 12)), {}),
    "feather": (tables, "{source: table, options: {path: sales.feather, target: sold}}", ([5], 2, (43, 5, 12)), {}),
    "texts": (
        texts,
        "{source: texts, options: {path: reviews.csv, text: review, label: opinion, length: 16}}",
        ([16], 2, (43, 5, 12)),
        {"class names": ["bad", "good"], "separator": ","},
    ),
    "json lines": (
        texts,
        "{source: texts, options: {path: reviews.jsonl, length: 16, test: 10}}",
        ([16], 2, (45, 5, 10)),
        {"class names": ["5", "6"]},
    ),
    "npz": (
        arrays,
        "{source: arrays, options: {path: images.npz}}",
        ([3, 8, 8], 2, (36, 4, 10)),
        {"layout": "channels_last", "arrays": ["x_train", "y_train", "x_test", "y_test"], "class names": ["a", "b"]},
    ),
    "npy": (
        arrays,
        "{source: arrays, validation: 4, options: {path: x.npy, labels: y.npy, kind: table}}",
        ([5], 4, (28, 4, 8)),
        {"class names": ["-2", "-1", "0", "1"]},
    ),
    "saved to disk": (
        saved,
        "{source: huggingface, options: {path: opinions, length: 16}}",
        ([16], 2, (36, 4, 20)),
        {"input": "text", "label": "label", "class names": ["neg", "pos"]},
    ),
    "hub's parquet": (
        parquets,
        "{source: huggingface, options: {path: shapes, kind: image}}",
        ([3, 8, 8], 2, (27, 3, 10)),
        {"splits": {"train": "train", "test": "validation"}},
    ),
    "torchvision": (
        fashion,
        "{source: torchvision, validation: 20, options: {name: FashionMNIST}}",
        ([1, 9, 9], 10, (40, 20, 20)),
        {"splits": "train=True and train=False"},
    ),
}


def described(entry, name="mine"):
    """What the plan hands to the preparation."""
    section = parse(Dataset, entry, name).model_dump()
    section["options"] = registry.check("source", entry["source"], section["options"], name)
    return parse(DatasetSpec, {"name": name, **section}, name).model_dump(mode="json")


def manifest_of(at, entry):
    return open_cache(prepare(described(entry), at / "cache", at / "downloads", at))


@pytest.mark.parametrize("kind", KINDS)
def test_data_as_people_have_it_is_prepared_first_time(kind, tmp_path, capsys):
    make, entry, (shape, classes, counts), inferred = KINDS[kind]
    make(tmp_path)
    entry = yaml.safe_load(entry)
    cache = manifest_of(tmp_path, entry)
    manifest, told = cache.manifest, capsys.readouterr().err
    assert (manifest["shape"], manifest["classes"], tuple(manifest["splits"].values())) == (shape, classes, counts)
    for part in manifest["splits"]:
        labels = cache.array(f"{part}_labels")
        assert set(labels.tolist()) == set(range(classes))
    found = manifest["inferred"]
    assert {"shape": shape, "classes": classes, **inferred}.items() <= found.items()
    for what, value in found.items():
        assert f"mine: inferred {what}: {json.dumps(value, ensure_ascii=False)}" in told
    given = entry | {"shape": shape, "classes": classes}
    again = manifest_of(tmp_path, given)  # a given one is checked, and the data is the same
    assert again.checksum == cache.checksum
    assert not {"shape", "classes"} & set(again.manifest["inferred"])
    with pytest.raises(FrugalError, match="classes; correct"):
        manifest_of(tmp_path, given | {"classes": classes + 1})
