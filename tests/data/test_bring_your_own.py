"""Data as people have it, each by at most six lines of YAML: what nobody said is found out, told, and stands in the manifest."""

import gzip
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from PIL import Image
from pyarrow import feather, ipc, parquet

import kinds
from data.conftest import idx_bytes
from frugal import registry
from frugal.data.cache import open_cache
from frugal.data.prepare import prepare
from frugal.errors import FrugalError
from frugal.plan import Plan
from frugal.spec import Dataset, DatasetSpec, RunSpec, parse
from frugal.training.job import Job, train

ROOT = Path(__file__).parents[2]

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


def test_a_run_takes_shape_and_classes_from_the_data(tmp_path):
    tables(tmp_path)
    dataset = described(yaml.safe_load(KINDS["csv"][1]))
    cache = prepare(dataset, tmp_path / "cache", tmp_path / "downloads", tmp_path)
    run = kinds.spec("table", recipe={"epochs": 2}).model_dump() | {"dataset": dataset}
    train(Job(RunSpec.model_validate(run), cache, tmp_path / "record", device="cpu"))
    record = json.loads((tmp_path / "record/metrics.json").read_text())
    assert record["parameters"] == 5 * 16 + 16 + 16 * 8 + 8 + 8 * 2 + 2


def test_a_plan_needs_the_size_of_images_only_where_levels_count_by_it(tmp_path):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    with open(tmp_path / "config/datasets.yaml", "a") as file:
        yaml.safe_dump({"birds": {"source": "imagefolder", "options": {"folders": ["birds"], "size": 32}}}, file)
        yaml.safe_dump({"mine": {"source": "arrays", "options": {"path": "a.npz"}}}, file)

    def plan(dataset, study):
        override = {"datasets": [dataset], "models": ["cnn-small"]}
        config = {"studies": [study], "scale": "demo", "results": str(tmp_path / "results"), "override": override}
        return Plan(config, tmp_path / "config")

    assert plan("birds", "compression").datasets["birds"].shape is None
    plan("mine", "infobatch")
    told = r"known only once they are read; give their `shape`, .* in \S*config/datasets.yaml: mine; or leave it out"
    with pytest.raises(FrugalError, match=told):
        plan("mine", "compression")


def written(**files):
    """Makes these files of a folder, bytes or text or a DataFrame by name; "__" is the dot."""

    def make(at):
        for name, content in files.items():
            path = at / name.replace("__", ".")
            if isinstance(content, dict):
                if path.suffix == ".npz":
                    np.savez(path, **content)
                else:
                    parquet.write_table(pa.table(content), path)
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return make


def lines(*more, header="x,c,y", rows=40):
    cells = [f"{(n * 7) % 30},{'ab'[n % 2]},{['no', 'yes'][n // 2 % 2]}" for n in range(rows)]
    return "\n".join([header, *cells, *more])


TABLE = "{source: table, options: {path: t.csv, target: y}}"
TEXT = "{source: texts, options: {path: t.csv, length: 16}}"
JSONL = "{source: texts, options: {path: t.jsonl, length: 16}}"
NPZ = "{source: arrays, options: {path: t.npz}}"
PICTURES = rng.integers(0, 256, (20, 8, 8), dtype=np.uint8)
HALVES = np.arange(20) % 2
BAD = [  # what lies there, its entry, and the line
    (written(t__csv="a,b;c\n1,2;3\n4,5;6"), TABLE, r"the separator may be ',' or ';'"),
    (written(t__csv=lines().replace(",", "~")), TABLE, "has no column y"),
    (written(t__csv=lines().replace("a", "ー").encode("shift_jis")), TABLE, "neither UTF-8 .* nor cp1252 .*`encoding`"),
    (written(t__csv=lines("3,a\0,no")), TABLE, "line 42: c holds a NUL byte"),
    (written(t__csv=lines(header="x,x,y")), TABLE, r"two columns x \(1 and 2\)"),
    (written(t__csv=lines("3,a")), TABLE, "line 42 has 2 fields and the header 3"),
    (written(t__csv=lines("3,a,no,no")), TABLE, "line 42 has 4 fields and the header 3"),
    (written(t__csv=lines("?,a,no")), TABLE, r"line 42: x is '\?' and no number; .*`missing: \['\?'\]`"),
    (written(t__csv=lines("-,a,no")), TABLE, r"line 42: x is '-' and no number; .*`missing: \['-'\]`"),
    (written(t__csv=lines('"1,234",a,no')), TABLE, "line 42: x is '1,234' and no number; .*mark of thousands"),
    (written(t__csv=lines("3,a,")), TABLE, "line 42: y is empty; give every row a class"),
    (written(t__csv=lines(rows=40).replace("yes", "no")), TABLE, "y is 'no' in every row: there is nothing to learn"),
    (
        written(t__csv="when,x,y\n" + "\n".join(f"2024-01-{n:02},{n % 7},{n % 2}" for n in range(1, 29))),
        TABLE,
        r"no kind is inferred for when \(dates or times, such as '2024-01-01'\): .*`drop: \[when\]`",
    ),
    (
        written(t__csv="id,name,x,y\n" + "\n".join(f"{n},man {n},{n % 7},{n % 2}" for n in range(40))),
        TABLE,
        r"id \(only numbers the rows\); name \(40 texts in 40 rows, .*`drop: \[id, name\]`",
    ),
    (written(t__csv="x,y\n" + "\n".join(f"{n % 9},{n * 1.5}" for n in range(40))), TABLE, "not for regression"),
    (
        written(t__parquet={"x": [1.0, 2.0] * 9, "t": pa.array([0] * 18, pa.timestamp("s")), "y": [0, 1] * 9}),
        TABLE.replace("csv", "parquet"),
        r"no kind is inferred for t \(dates or times\)",
    ),
    (written(t__parquet=b"PAR1 and no more"), TABLE.replace("csv", "parquet"), "is damaged or no Parquet"),
    (written(t__csv="text,label\n" + "good,1\n ,0\nbad,0\n" * 9), TEXT, r"9 of 27 texts can't be used, more than"),
    (written(t__csv="text,label\ngood,1\nbad,\n"), TEXT, "line 3: the label is missing"),
    (written(t__csv="text,label\n" + "good,1\nbad,1\n" * 9), TEXT, "label is '1' in every row"),
    (written(t__csv="text,stars\ngood,1\n"), TEXT, "has no column label, it has text, stars; correct option `label`"),
    (written(t__jsonl='{"text": "good", "label": 1}\n{"text": "bad"}'), JSONL, "line 2: the label is missing"),
    (written(t__jsonl='{"text": "good", "label": 1}\n{"text": '), JSONL, "line 2 is no JSON"),
    (written(t__jsonl='[\n{"text": "good"}\n]'), JSONL, "one JSON document over many lines"),
    (written(t__npz={"x": PICTURES, "y": np.array([{}] * 20)}), NPZ, "holds Python objects, which are never loaded"),
    (written(t__npz={"x": PICTURES, "y": HALVES[:9]}), NPZ, "don't belong together"),
    (written(t__npz={"x": PICTURES, "y": np.eye(2)[HALVES]}), NPZ, "one-hot labels become numbers"),
    (written(t__npz={"x": PICTURES, "y": np.where(HALVES, 1, np.nan)}), NPZ, r"row 1: label is missing \(nan\)"),
    (written(t__npz={"x": PICTURES, "y": rng.random(20)}), NPZ, "not for regression"),
    (written(t__npz={"x": PICTURES * 3.0, "y": HALVES}), NPZ, "pixels are float64 from 0.0 to .*; save whole numbers"),
    (written(t__npz={"x": np.zeros((20, 3, 9, 3), np.uint8), "y": HALVES}), NPZ, "set `layout`"),
    (written(t__npz={"pictures": PICTURES, "y": HALVES}), NPZ, "no array of training|no array of  ?inputs"),
    (
        written(t__npz={"x": np.zeros((20, 99, 2)), "y": HALVES}),
        "{source: arrays, options: {path: t.npz, kind: sound}}",
        "look like stereo; mix the two channels",
    ),
    (
        written(t__parquet={"image": [{"bytes": png(n, (8 + n % 2, 8))} for n in range(9)], "label": [0, 1, 2] * 3}),
        "{source: huggingface, options: {path: t.parquet, kind: image}}",
        "image 2 has 9x8 pixels and the first one 8x8 pixels; set `size`",
    ),
    (
        written(t__parquet={"text": ["good", "bad"] * 9, "label": [0, -1] * 9}),
        "{source: huggingface, options: {path: t.parquet}}",
        "split train, row 2: the label is missing",
    ),
    (written(), "{source: huggingface, options: {path: nobody/nothing}}", "can't be had: .*connect once"),
    (written(), "{source: torchvision, options: {name: CIFAR10}}", "use `source: cifar10`"),
    (written(), "{source: torchvision, options: {name: MNISTT}}", "did you mean MNIST"),
    (
        lambda at: [(at / "birds" / part / "ant").mkdir(parents=True) for part in ("train", "val")],
        "{source: imagefolder, options: {folders: [birds], test: 0.2}}",
        "birds/val is a test set, and option test is 0.2",
    ),
    (
        lambda at: (at / "birds/train").mkdir(parents=True) or (at / "birds/ant").mkdir(),
        "{source: imagefolder, options: {folders: [birds], test: 0.2}}",
        "has no class folders",
    ),
]


@pytest.mark.parametrize(("make", "entry", "says"), BAD)
def test_what_could_be_taken_wrongly_is_refused_in_one_line(make, entry, says, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    make(tmp_path)
    with pytest.raises(FrugalError, match=says) as error:
        prepare(described(yaml.safe_load(entry)), tmp_path / "cache", tmp_path / "downloads", tmp_path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "cache/manifest.json").exists()


def test_what_is_odd_but_usable_is_told(tmp_path):
    rows = [f"{n * 7 % 30},{['NA', 'DE', 'yes ', 'yes'][n % 4]},{['no', 'yes'][n // 2 % 2]}" for n in range(40)]
    content = "\ufeff" + "\n".join(["x,c,y", *rows, "3,DE,once", "3,Köln,no"])
    (tmp_path / "t.csv").write_bytes(content.encode())
    manifest = manifest_of(tmp_path, yaml.safe_load(TABLE)).manifest
    notes = " ".join(manifest["notes"])
    assert manifest["inferred"]["encoding"] == "utf-8, by its byte-order mark"
    assert "c: taken for values (rows), list in `missing` what is none: 'NA' (10)" in notes
    assert "c: spellings that are taken for one name (rows): 'yes ' as 'yes' (10)" in notes
    assert "test: no sample of 1 of 3 classes, so it says nothing of them" in notes
    (tmp_path / "t.csv").write_bytes(content.removeprefix("\ufeff").encode("latin-1"))
    found = manifest_of(tmp_path, yaml.safe_load(TABLE)).manifest["inferred"]
    assert found["encoding"].startswith("cp1252 (Latin-1 of Windows), since byte 0xf6 in line 43 is not UTF-8; read as")
