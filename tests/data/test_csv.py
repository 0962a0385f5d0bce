"""Nothing in a CSV file is taken wrongly in silence: what is not as described is refused by line, what is changed is told."""

import bz2
import gzip
import json
import lzma
import re
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal.data.cells import Numbers, Words
from frugal.data.csvfile import CsvFile
from frugal.data.prepare import prepare
from frugal.data.sources import table
from frugal.errors import FrugalError
from spreadsheet import about

OPTIONS = {"path": "t.csv", "target": "y", "numeric": ["x"], "categorical": ["c"], "test": 8}
HEADER = "x,c,y"


def rows():
    return [f"{n},{'ab'[n % 2]},{['no', 'yes'][n // 2 % 2]}" for n in range(40)]


def read(tmp_path, lines, header=HEADER, name="t.csv", **options):
    content = "\n".join([header, *lines]) + "\n" if isinstance(lines, list) else lines
    tmp_path.joinpath(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return table.read(tmp_path, tmp_path, **(OPTIONS | {"path": name} | options))


def changed(**lines):
    """The rows with some of them replaced; line_4 is the fourth line of the file."""
    there = rows()
    for name, text in lines.items():
        there[int(name.removeprefix("line_")) - 2] = text
    return there


def cells(arrays):
    """Those of all rows, numbers and names, as objects."""
    found, encoder = np.concatenate([arrays.train_inputs, arrays.test_inputs]).astype(object), arrays.encoder
    for column, names in enumerate(encoder.categorical.values(), len(encoder.numeric)):
        found[:, column] = [np.nan if np.isnan(place) else names[int(place)] for place in found[:, column]]
    return found


def labels(arrays):
    return np.concatenate([arrays.train_labels, arrays.test_labels])


@pytest.mark.parametrize(
    ("lines", "header", "options", "says"),
    [
        ([row + "," for row in rows()], HEADER, {}, "line 2 has 4 fields and the header 3: a separator at its end"),
        ([f"{n},{row}" for n, row in enumerate(rows())], HEADER, {}, "line 2 has 4 fields .*names of rows"),
        (changed(line_7="5,a"), HEADER, {}, "line 7 has 2 fields and the header 3: a row cut off"),
        (changed(line_3='1,"a\nb",yes', line_5="what,a,no"), HEADER, {}, "line 6: x is 'what' and no number"),
        (changed(line_3="", line_5="what,a,no"), HEADER, {}, "line 5: x is 'what' and no number"),
        (changed(line_4="1e200,a,yes"), HEADER, {}, "line 4: x is '1e200' and no number that fits into 32 bits"),
        (changed(line_4="inf,a,yes"), HEADER, {}, "line 4: x is 'inf' and no number"),
        (changed(line_4="nan,a,yes"), HEADER, {}, r"line 4: x is 'nan' .*list it in options: `missing: \['nan'\]`"),
        (changed(line_4='"1,5",a,yes'), HEADER, {}, "line 4: x is '1,5' .*is it a decimal comma"),
        (changed(line_4='"1,234,567",a,yes'), HEADER, {}, "line 4: .*a mark of thousands"),
        (changed(line_4="2020-01-31,a,yes"), HEADER, {}, "line 4: .*it looks like a date"),
        (changed(line_4="4,a,"), HEADER, {}, "line 4: y is empty; give every row a class"),
        (changed(line_4="4,a,NA"), HEADER, {"missing": ["NA"]}, "line 4: y is 'NA', which `missing` lists"),
        (changed(line_4="4,a\0,yes"), HEADER, {}, "line 4: c holds a NUL byte"),
        (changed(line_4='4,"a,yes'), HEADER, {}, "the row that ends in line .* can't be read as CSV"),
        (rows(), "x,x,y", {}, r"two columns x \(1 and 2\); rename one"),
        (rows(), "x,,y", {}, "has no column c; .*its header has x, Unnamed: 1, y"),
        (
            [row.replace(",", ";") for row in rows()],
            "x;c;y",
            {"separator": ","},
            "one column only, 'x;c;y': is the separator ';'",
        ),
        ([row.replace(",", "\t") for row in rows()], "x\tc\ty", {"separator": ","}, r"set `separator: \"\\t\"`"),
        (rows(), HEADER, {"separator": ";"}, "is the separator ','"),
        (rows(), HEADER, {"separator": "::"}, "option separator is '::'; give one character"),
        (rows(), HEADER, {"encoding": "latin9000"}, "option encoding is 'latin9000', which Python doesn't know"),
        (rows(), HEADER, {"decimal": ",", "thousands": ","}, "give one mark that differs"),
        (changed(line_4="1.5,a,yes"), HEADER, {"decimal": ","}, "`decimal` is ',' and this has a point"),
        (changed(line_4='"1,5",a,yes'), HEADER, {"thousands": ","}, "line 4: x is '1,5' and no number"),
        (
            "\n".join([HEADER, *rows()]).encode("utf-16"),
            "",
            {"encoding": "utf-8"},
            "is UTF-16, .*set `encoding: utf-16`",
        ),
        (
            "\n".join([HEADER, *rows()]).encode("utf-16-le"),
            "",
            {"encoding": "utf-8"},
            "NUL bytes: it is damaged, or UTF-16 without",
        ),
        (
            "\n".join([HEADER, "1,é,no"]).encode("cp1252"),
            "",
            {"encoding": "utf-8"},
            "line 2: byte 0xe9 is not UTF-8; .*`encoding: cp1252`",
        ),
        ("\ufeffx,c,y\n1,a,no", "", {"encoding": "cp1252"}, "is UTF-8, as its byte-order mark says"),
        ("", "", {}, "is empty"),
        (HEADER, "", {}, "has a header and no row"),
        ("<!DOCTYPE html><p>Not found", "", {}, "is a web page"),
        (b"PAR1" + bytes(40), "", {}, "is a Parquet file; save the table as CSV, or give it the ending .parquet"),
        (gzip.compress(b"x,c,y\n" * 9, mtime=0)[:-9], "", {}, "is damaged"),
        (changed(line_4=f"4,a,{'z' * 200_000}"), HEADER, {}, "line 4, can't be read as CSV: field larger"),
        (
            [f"{n},a,{n * 1.5}" for n in range(40)],
            HEADER,
            {},
            "y has 40 distinct values in 40 rows.*not for regression",
        ),
        ([f"{n},a,{n % 30 + 0.5}" for n in range(300)], HEADER, {}, "y has 30 distinct values in 300 rows.*regression"),
        ([f"{n},a,name{n}" for n in range(40)], HEADER, {}, "y has 40 distinct values .*a quantity or an id"),
    ],
)
def test_a_table_that_could_be_taken_wrongly_is_refused_in_one_line(tmp_path, lines, header, options, says):
    with pytest.raises(FrugalError, match=says) as error:
        read(tmp_path, lines, header, **options)
    assert "\n" not in str(error.value)


def test_only_an_empty_cell_is_missing_unless_more_is_listed(tmp_path):
    lines = changed(line_4="2,NA,None", line_5="3,NA,None", line_6=",,None", line_7="-999.0,?,None")
    plain = read(tmp_path, lines, numeric=["x"])
    assert "classes: None, no, yes" in plain.notes
    assert {"NA", "?", "a", "b"} <= set(cells(plain)[:, 1].tolist())
    assert pd.isna(cells(plain)).sum() == 2
    assert "c: taken for values (rows), list in `missing` what is none: '?' (1), 'NA' (2)" in plain.notes
    listed = read(tmp_path, lines, missing=["NA", "?", "-999"])
    assert pd.isna(cells(listed)).sum() == 6
    assert "c: taken for missing, as option `missing` says, besides empty cells: '?' 1, 'NA' 2" in listed.notes
    assert "x: taken for missing, as option `missing` says, besides empty cells: '-999.0' 1" in listed.notes


def test_two_spellings_of_a_class_are_one_and_told(tmp_path):
    spelled = ["1", "1.0", "1 ", "0"]
    one = read(tmp_path, [f"{n},{'ab'[n % 2]} ,{spelled[n % 4]}" for n in range(40)])
    assert one.notes[0] == "classes: 0, 1"
    assert np.bincount(labels(one)).tolist() == [10, 30]
    assert set(cells(one)[:, 1].tolist()) == {"a", "b"}
    assert "y: spellings that are taken for one name (rows): '1.0' as '1' (10), '1 ' as '1' (10)" in one.notes


def test_names_that_may_differ_stay_apart(tmp_path):
    versions = read(tmp_path, [f"{n},a,{['1.1', '1.10', 'Yes', 'yes'][n % 4]}" for n in range(40)])
    assert versions.notes[0] == "classes: 1.1, 1.10, Yes, yes"
    assert "y: names that differ by capitals alone stay apart: 'Yes' and 'yes'" in versions.notes


def test_numbers_are_read_as_they_are_written_elsewhere(tmp_path):
    lines = [f"1.2{n:02}.000,5;{'ab'[n % 2]};{['no', 'yes'][n // 2 % 2]}" for n in range(40)]
    read_so = read(tmp_path, lines, "x;c;y", separator=";", decimal=",", thousands=".")
    assert sorted(cells(read_so)[:, 0].tolist()) == [1_200_000.5 + 1000 * n for n in range(40)]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=20))
def test_numbers_are_what_python_reads(numbers):
    column = Numbers("t.csv", "x", [])
    column.add(list(map(repr, numbers)), np.arange(len(numbers)))
    np.testing.assert_allclose(column.values, numbers, rtol=1e-15)


@given(st.lists(st.tuples(st.text('ab ,"\n\r', max_size=4), st.sampled_from("xyz")), min_size=1, max_size=12))
def test_a_file_that_python_wrote_is_read_with_its_lines(tmp_path_factory, written):
    import csv

    file = tmp_path_factory.mktemp("csv") / "t.csv"
    with open(file, "w", newline="") as stream:
        csv.writer(stream).writerows([("c", "y"), *written])
    pieces = list(CsvFile(file).pieces())
    found = [row for piece in pieces for row in zip(*piece.columns, strict=True)]
    assert [(c.strip(" "), y) for c, y in found] == [(c.strip(" "), y) for c, y in written]
    breaks = [1 + len(re.findall("\r\n|\r|\n", c)) for c, _ in written]
    assert [line for piece in pieces for line in piece.lines.tolist()] == (2 + np.cumsum([0, *breaks[:-1]])).tolist()


def test_packed_tables_are_read_and_a_zip_of_two_is_refused(tmp_path):
    content = "\n".join([HEADER, *rows()]).encode()
    plain = read(tmp_path, content)
    for name, packed in (
        ("gz", gzip.compress(content, mtime=0)),
        ("bz2", bz2.compress(content)),
        ("xz", lzma.compress(content)),
    ):
        np.testing.assert_array_equal(cells(read(tmp_path, packed, name=f"t.csv.{name}")), cells(plain))
    for members, says in (
        (["t.csv"], None),
        (["t.csv", "__MACOSX/._t.csv"], None),
        (["a.csv", "b.csv"], "holds 2 files"),
    ):
        with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
            for member in members:
                archive.writestr(member, content)
        packed = (tmp_path / "t.zip").read_bytes()
        if says is None:
            np.testing.assert_array_equal(cells(read(tmp_path, packed, name="t.zip")), cells(plain))
        else:
            with pytest.raises(FrugalError, match=says):
                read(tmp_path, packed, name="t.zip")


def test_a_byte_order_mark_and_other_encodings_are_read(tmp_path):
    text = "\n".join([HEADER, *(row.replace("a", "é") for row in rows())])
    for content, options in (
        ("\ufeff" + text, {}),
        (text.encode("utf-16"), {"encoding": "utf-16"}),
        (text.encode("cp1252"), {"encoding": "cp1252"}),
    ):
        assert "é" in set(cells(read(tmp_path, content, **options))[:, 1])


def test_a_column_without_a_value_in_training_is_named(tmp_path):
    tested = [int(x) for x in read(tmp_path, rows()).test_inputs[:, 0]]
    lines = [f"{row.replace(',', ',1,' if n in tested else ',,', 1)}" for n, row in enumerate(rows())]
    read(tmp_path, lines, "x,z,c,y", numeric=["x", "z"])
    options = {"options": OPTIONS | {"numeric": ["x", "z"]}, "shape": [4]}
    with pytest.raises(FrugalError, match="no row of the training split has a value in column z, .*name it in `drop`"):
        prepare(about(**options), tmp_path / "out", tmp_path, tmp_path)


def test_a_number_too_far_from_those_of_training_is_named(tmp_path):
    tested = [int(x) for x in read(tmp_path, rows()).test_inputs[:, 0]]
    read(tmp_path, [f"{1e38 if n == tested[0] else n * 1e-6},{row.split(',', 1)[1]}" for n, row in enumerate(rows())])
    with pytest.raises(FrugalError, match=r"x of row 0 \(from 0\) of the test split is 1e\+38"):
        prepare(about(options=OPTIONS), tmp_path / "out", tmp_path, tmp_path)


@pytest.mark.parametrize(("column", "refused"), [("n", True), ("name", False)])
def test_copies_are_found_behind_numbered_rows_and_passengers_are_no_copies(tmp_path, column, refused):
    """Ten rows ten times: with a serial number in front they are copies, with names they are a hundred persons."""
    lines = [f"{'p' * (column == 'name')}{n},{n // 10},{'ab'[n // 10 % 2]},{n // 10 % 2}" for n in range(100)]
    (tmp_path / "t.csv").write_text("\n".join(["id,x,c,y", *lines]))
    options = about(options=OPTIONS | {"drop": ["id"]})
    if refused:
        with pytest.raises(FrugalError, match="row for row"):
            prepare(options, tmp_path / "out", tmp_path, tmp_path)
    notes = json.loads(prepare(options | {"allow_overlap": True}, tmp_path / "out", tmp_path, tmp_path).read_text())[
        "notes"
    ]
    copies = 8 if refused else 0
    assert any(re.match(rf"test: 8 of 8 .*, and {copies} are copies of whole rows", note) for note in notes)


def test_a_target_of_many_numbers_is_told_of_regression(tmp_path):
    (tmp_path / "t.csv").write_text("\n".join([HEADER, *(f"{n},{'ab'[n % 2]},{n % 60}" for n in range(600))]))
    says = "correct `classes`, unless the target is a quantity: regression isn't supported"
    with pytest.raises(FrugalError, match=says):
        prepare(about(options=OPTIONS | {"test": 80}), tmp_path / "out", tmp_path, tmp_path)


def test_words_are_numbered_by_sorted_names():
    column = Words("t.csv", "c", [])
    column.add(["b", "a", "", " b"], np.arange(4))
    codes, names, _ = column.named()
    assert (codes.tolist(), names) == ([1, 0, -1, 1], ["a", "b"])
