"""Tables: every column accounted for, nothing learnt from the test rows, and one clear line for what doesn't fit."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from frugal.data.cache import open_cache
from frugal.data.prepare import prepare
from frugal.data.sources import table, titanic
from frugal.data.table import Columns
from frugal.errors import FrugalError
from spreadsheet import about

OPTIONS = {
    "path": "t.csv",
    "target": "sold",
    "numeric": ["age"],
    "categorical": ["colour"],
    "drop": ["id"],
    "test": 8,
}
COLOURS = ["red", "green"]


def rows(changes=None):
    cells = [[str(n), str(20 + n), COLOURS[n % 2], ["no", "yes"][n // 2 % 2]] for n in range(40)]
    for (row, column), value in (changes or {}).items():
        cells[row][column] = value
    return cells


def write(folder, cells, header="id,age,colour,sold"):
    folder.mkdir(exist_ok=True)
    (folder / "t.csv").write_text("\n".join([header, *(",".join(row) for row in cells)]) + "\n")
    return folder


def prepared(tmp_path, cells):
    return open_cache(prepare(about(options=OPTIONS), tmp_path / "a", tmp_path, write(tmp_path / "d", cells)))


def test_features_are_learnt_from_the_training_split_alone(tmp_path):
    arrays = table.read(write(tmp_path / "d", rows()), tmp_path, **OPTIONS)
    tested = [int(age) - 20 for age in arrays.test_inputs[:, 0]]
    usual = prepared(tmp_path, rows())
    wild = prepared(tmp_path, rows({(tested[0], 1): "1000000", (tested[1], 2): "purple", (tested[2], 1): ""}))
    for part in ("train", "validation"):
        np.testing.assert_array_equal(usual.array(f"{part}_features"), wild.array(f"{part}_features"))
    train, test = usual.array("train_features"), wild.array("test_features")
    assert (train.dtype, usual.manifest["features"]) == (np.float32, ["age", "colour_green", "colour_red"])
    assert abs(train[:, 0].mean()) < 1e-6
    assert train[:, 0].std() == pytest.approx(1, abs=1e-6)
    assert test[0, 0] > 1000
    assert test[1, 1:].tolist() == [0, 0]
    assert abs(test[2, 0]) < 0.3  # the median of the training rows
    notes = wild.manifest["notes"]
    assert "test: 1 rows have a colour the training split has not: purple" in notes
    assert "test: missing and filled in from the training split: age 1" in notes


@pytest.mark.parametrize(("numeric", "categorical"), [(3, 0), (0, 2), (3, 2)])
def test_features_are_bit_for_bit_those_of_scikit_learns_column_transformer(numeric, categorical):
    draw = np.random.default_rng(0)
    numbers, places = draw.normal(1e3, 1, (400, numeric)), draw.integers(0, 4, (400, categorical)).astype(float)
    numbers[draw.random(numbers.shape) < 0.1] = np.nan
    places[draw.random(places.shape) < 0.1] = np.nan
    places[:300][places[:300] == 1] = 0  # in training never seen
    columns = {f"x{n}": numbers[:, n] for n in range(numeric)}
    columns |= {
        f"c{n}": np.array([*"pqrs", np.nan], object)[np.nan_to_num(places[:, n], nan=4).astype(int)]
        for n in range(categorical)
    }
    frame = pd.DataFrame(columns)
    known = ColumnTransformer(
        [
            ("x", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), list(frame)[:numeric]),
            (
                "c",
                make_pipeline(
                    SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore", sparse_output=False)
                ),
                list(frame)[numeric:],
            ),
        ],
        verbose_feature_names_out=False,
    ).fit(frame[:300])
    ours = Columns(list(frame)[:numeric], {name: list("pqrs") for name in list(frame)[numeric:]})
    cells = np.concatenate([numbers, places], axis=1)
    ours.fit(cells[:300])
    for part in (slice(300), slice(300, 400)):
        expected = known.transform(frame[part]).astype(np.float32)
        np.testing.assert_array_equal(ours.encode(cells[part], "test"), expected)
    assert ours.facts["features"] == known.get_feature_names_out().tolist()
    assert sum("the training split has not: q" in note for note in ours.notes) == categorical


@pytest.mark.parametrize(
    ("changes", "header", "options", "line"),
    [
        ({}, "id,age,sold", {}, "t.csv has no column colour; correct the file or options"),
        ({(3, 1): "young"}, None, {}, "line 5: age is 'young' and no number"),
        ({(3, 1): "inf"}, None, {}, "line 5: age is 'inf' and no number"),
        ({(4, 3): ""}, None, {}, "line 6: sold is empty; give every row a class"),
        ({}, None, {"drop": ["id", "age"]}, "name age twice"),
        ({}, None, {"path": "u.csv"}, "has no u.csv; put the data there"),
        ({(n, 1): "" for n in range(40)}, None, {}, "every cell of age is empty; name it in `drop`"),
    ],
)
def test_a_table_that_is_not_as_described_is_refused(tmp_path, changes, header, options, line):
    cells = rows(changes)
    width = len((header or "id,age,colour,sold").split(","))
    cells = [(row + ["1"] * 9)[:width] for row in cells]
    folder = write(tmp_path / "d", cells, header or "id,age,colour,sold")
    with pytest.raises(FrugalError, match=line) as error:
        table.read(folder, tmp_path, **(OPTIONS | options))
    assert "\n" not in str(error.value)


def test_the_right_number_of_features_is_told(tmp_path):
    with pytest.raises(FrugalError, match=r"features of shape \[3\], its entry of datasets.yaml says \[9\]"):
        prepare(about(options=OPTIONS, shape=[9]), tmp_path / "a", tmp_path, write(tmp_path / "d", rows()))
    assert {file.name for file in (tmp_path / "a").iterdir()} == {".prepare.lock"}


REAL = Path(os.environ.get("FRUGAL_DATA") or "/nowhere")


@pytest.mark.skipif(
    not (REAL / "titanic/titanic.csv").is_file(), reason="needs titanic.csv in the folder FRUGAL_DATA names"
)
def test_the_real_titanic_is_whole(tmp_path):
    arrays = titanic.read(REAL, tmp_path)
    labels = np.concatenate([arrays.train_labels, arrays.test_labels])
    assert (len(labels), labels.sum(), len(arrays.test_labels)) == (891, 342, 179)
    about = {"name": "titanic", "source": "titanic", "shape": [12], "classes": 2, "validation": 89, "split_seed": 0}
    manifest = json.loads(prepare(about | {"options": {}, "dct": None}, tmp_path / "a", tmp_path, REAL).read_text())
    assert manifest["features"][4:7] == ["Pclass_1", "Pclass_2", "Pclass_3"]
