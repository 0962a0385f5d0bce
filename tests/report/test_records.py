import json

import pytest

from frugal.errors import FrugalError
from frugal.report import schema
from frugal.report.records import read_records
from frugal.study import study_of
from report import factory

GIVEN = factory.study(strategies=["full", "ema-4-16"], seeds=[0, 1])


def change(**keys):
    """A spoiler that changes keys of a JSON file; a value of `...` removes the key."""

    def spoil(path):
        content = json.loads(path.read_text()) | keys
        path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))

    return spoil


def cut(path):
    path.write_text(path.read_text()[:-9])


def rename_column(path):
    path.write_text(path.read_text().replace("val_accuracy", "accuracy", 1))


def text_in_column(path):
    head, first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([head, first.replace("0.9,", "high,", 1), *rest]) + "\n")


def remove(path):
    path.unlink()


def scramble(path):
    path.write_bytes(b"\xff\xfe\x00")


@pytest.mark.parametrize(
    ("file", "spoil", "said"),
    [
        ("metrics.json", remove, "missing"),
        ("metrics.json", change(schema=0), "its schema is 0, this version reads 1"),
        ("manifest.json", change(schema=...), "its schema is None"),
        ("metrics.json", lambda path: path.write_text("[]"), "valid dictionary"),
        ("metrics.json", cut, "not valid JSON"),
        ("metrics.json", scramble, "cannot be read"),
        ("metrics.json", change(test_accuracy=...), "test_accuracy"),
        ("metrics.json", change(test_accuracy=97.5), "test_accuracy"),
        ("metrics.json", change(test_accuracy=float("nan")), "test_accuracy"),
        ("metrics.json", change(test_accuracy=None), "test_accuracy"),
        ("metrics.json", change(bytes_read="many"), "bytes_read"),
        ("metrics.json", change(energy_joules=None, energy_source=""), "energy_source"),
        ("metrics.json", change(seed=7), "ema-4-16/7"),
        ("metrics.json", change(strategy="full"), "/full/"),
        ("manifest.json", remove, "missing"),
        ("manifest.json", change(code=...), "code"),
        ("manifest.json", change(fingerprint="another"), "fingerprint"),
        ("history.csv", remove, "missing"),
        ("history.csv", rename_column, "val_accuracy"),
        ("history.csv", text_in_column, "not a number"),
        ("history.csv", lambda path: path.write_text(path.read_text().rsplit("\n", 2)[0] + "\n"), "2 rows"),
        ("iterations.csv", remove, "missing"),
        ("iterations.csv", cut, "whole rows"),
        ("iterations.csv", lambda path: path.write_text("loss\n"), "columns"),
    ],
)
def test_broken_record_is_named_in_one_line(tmp_path, file, spoil, said):
    factory.write_runs(tmp_path, GIVEN)
    path = tmp_path / "runs/compression/digits/cnn-small/ema-4-16/seed-1" / file
    spoil(path)
    found = read_records(study_of(GIVEN), tmp_path)
    assert [(run.cell.strategy, run.seed) for run in found.left_out] == [("ema-4-16", 1)]
    assert len(found.records) == 3, "the rest is read"
    why = found.left_out[0].why
    assert str(path) in why
    assert said in why
    assert "\n" not in why


def test_without_any_run_of_the_baseline_there_is_nothing_to_compare(tmp_path):
    factory.write_runs(tmp_path, GIVEN)
    for seed in (0, 1):
        cut(tmp_path / f"runs/compression/digits/cnn-small/full/seed-{seed}/metrics.json")
    with pytest.raises(FrugalError, match="full/seed-0/metrics.json is broken"):
        read_records(study_of(GIVEN), tmp_path)


def test_what_is_no_run_of_the_study_is_named(tmp_path):
    factory.write_runs(tmp_path, GIVEN | {"seeds": [0, 1, 2]})
    top = tmp_path / "runs/compression"
    (top / "notes.txt").write_text("mine")
    (top / "digits/cnn-small/full/seed-0/checkpoints").mkdir()
    (top / "digits/cnn-small/full/seed-0/metrics (copy).json").write_text("{}")
    cell = "runs/compression/digits/cnn-small"
    assert read_records(study_of(GIVEN), tmp_path).foreign == [
        f"{cell}/ema-4-16/seed-2",
        f"{cell}/full/seed-0/metrics (copy).json",
        f"{cell}/full/seed-2",
        "runs/compression/notes.txt",
    ]


def test_the_schema_that_is_read_is_the_one_that_is_written():
    from frugal.training import record

    assert record.SCHEMA == schema.SCHEMA


def test_one_column_more_is_welcome(tmp_path):
    factory.write_runs(tmp_path, GIVEN)
    change(live_heads=12)(tmp_path / "runs/compression/digits/cnn-small/full/seed-0/metrics.json")
    first = read_records(study_of(GIVEN), tmp_path).records[0]
    assert first.metrics.model_dump()["live_heads"] == 12


def test_only_the_runs_of_the_study_are_read(tmp_path):
    factory.write_runs(tmp_path, GIVEN)
    found = read_records(study_of(GIVEN | {"seeds": [1]}), tmp_path)
    assert [(record.cell.strategy, record.seed) for record in found.records] == [("full", 1), ("ema-4-16", 1)]
