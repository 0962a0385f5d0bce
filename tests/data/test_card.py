"""Data card of a cache: what the manifest says and nothing else, in a form that Hugging Face's tools read."""

import json

import numpy as np
import pytest
import yaml

import prepare as command
from frugal.data.card import card
from frugal.data.prepare import PARTS, prepare
from frugal.errors import FrugalError
from frugal.spec import DatasetSpec, parse

WINE = {
    "name": "wine",
    "source": "sklearn_table",
    "validation": 0.2,
    "split_seed": 0,
    "options": {"name": "wine"},
    "dct": None,
}


@pytest.fixture(scope="module")
def wine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wine")
    return prepare(dict(WINE), folder, folder / "downloads", None)


def test_a_card_has_the_facts_of_the_manifest(wine):
    about, text = json.loads(wine.read_text()), card(wine, WINE)
    _, header, body = text.split("---\n", 2)
    head = yaml.safe_load(header)
    assert head["task_categories"] == ["tabular-classification"]
    assert head["dataset_info"]["splits"] == [{"name": part, "num_examples": about["splits"][part]} for part in PARTS]
    assert head["license"] == "unknown"
    labels = {part: np.load(wine.parent / f"{part}_labels.npy") for part in PARTS}
    for number, name in enumerate(about["inferred"]["class names"]):
        counts = " | ".join(str((labels[part] == number).sum()) for part in PARTS)
        assert f"| {name.replace('_', chr(92) + '_')} | {counts} |" in body
    assert about["checksum"] in body
    assert "https://doi.org/10.24432/C5PC7J" in body, "where it comes from, as its source says"
    assert f"{sum(file['bytes'] for file in about['files'].values()):,} bytes" in body
    for section in ("Found out, since nobody said it", "Checks and remarks"):
        assert f"\n## {section}\n" in body
    assert f"snakemake --cores all {wine}" in body


def test_markdown_in_a_name_stays_a_name_and_many_classes_are_told_in_short(tmp_path, wine):
    about = json.loads(wine.read_text())
    for part in PARTS:
        np.save(tmp_path / f"{part}_labels.npy", np.arange(300) % 60)
    odd = about | {"notes": ["a | b\n<script>"], "classes": 60, "splits": dict.fromkeys(PARTS, 300)}
    (tmp_path / "manifest.json").write_text(json.dumps(odd))
    text = card(tmp_path / "manifest.json", WINE)
    assert r"- a \| b \<script\>" in text
    assert "60 classes" in text
    assert "train 5 to 5" in text


def test_a_cache_without_its_labels_has_no_card(tmp_path, wine):
    (tmp_path / "manifest.json").write_text(wine.read_text())
    with pytest.raises(FrugalError, match="its cache can't be read"):
        card(tmp_path / "manifest.json", WINE)


def test_what_was_found_out_is_said_on_the_console_in_a_few_lines(tmp_path, monkeypatch, capsys):
    rows = [f"{n * n * 0.37:.2f},{'ab'[n % 2]},{['no', 'yes'][n // 2 % 2]}" for n in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["x,c,y", *rows]))
    section = {"source": "table", "options": {"path": "t.csv", "target": "y"}}
    dataset = parse(DatasetSpec, {"name": "mine", **section}, "mine").model_dump(mode="json")
    out = tmp_path / "cache/manifest.json"
    words = ["--dataset", json.dumps(dataset), "--out", str(out), "--downloads", str(tmp_path), "--data", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["prepare.py", *words])
    command.main()
    told = capsys.readouterr().out.splitlines()
    assert 'data set mine: found out: class names: ["no", "yes"]' in told
    assert told[-1] == "data set mine: 43 train, 5 validation, 12 test samples"
    manifest = json.loads(out.read_text()) | {"notes": [f"note {'x' * 300}"] * 20}
    short = command.lines(manifest, out.parent)
    assert len(short) == command.MOST_LINES + 2
    assert max(map(len, short)) < 200
    assert short[-2].endswith(f"more such lines are in {out.parent / 'prepare.log'}")
