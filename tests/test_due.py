"""Which records are due again: those of other settings, code or data, and those that were changed or damaged."""

import json
import shutil
from functools import cache
from pathlib import Path

import pytest

from frugal import due, failed
from frugal.errors import FrugalError
from frugal.failed import without_record
from frugal.imports import TRAINING, checksums, closure, digest_of
from frugal.plan import Plan, read_yaml
from frugal.record import SEALED, of_scores, read_identity, seal
from frugal.report.audit import audit
from frugal.report.records import LeftOut
from frugal.study import Cell

ROOT = Path(__file__).parents[1]
SETTINGS = {"strategies": ["full", "ema-4-16", "random-4-16"], "seeds": 2, "budgets": [], "recipe": {"epochs": 2}}
CONTENTS = {name: f"{name} of a run\n".encode() for name in SEALED}
CELL = "compression/digits/cnn-tiny"


def plan_of(results, **override):
    """A plan of six runs; override: replaces settings."""
    config = {"studies": ["compression"], "results": str(results), "override": SETTINGS | override}
    return Plan(read_yaml(ROOT / "config/config.yaml") | config, ROOT / "config")


@cache
def code_of(*modules):
    return digest_of(checksums(closure(TRAINING, *modules)))


def write_record(plan, dataset, model, strategy, seed, /, **about):
    """A sealed record as the run would leave it; about: replaces keys of its manifest."""
    spec = plan.run("compression", dataset, model, strategy, seed)
    modules = plan.modules("compression", model, strategy)
    history = seal_of(CONTENTS["history.csv"]) if plan.follows("compression", strategy) else None
    given = {
        "spec": spec.model_dump(mode="json"),
        "code": checksums(closure(TRAINING, *modules)),
        "run": spec.path,
        "plan": spec.plan(code_of(*modules)),
        "data_checksum": "as prepared",
        "followed": history,
        "fingerprint": "f",
    }
    folder = Path(plan.results, "runs", spec.path)
    folder.mkdir(parents=True)
    for name, content in CONTENTS.items():
        (folder / name).write_bytes(content)
    (folder / "manifest.json").write_bytes(seal(given | about, CONTENTS))


def seal_of(content):
    return json.loads(
        seal(dict.fromkeys(("run", "plan", "data_checksum", "followed", "fingerprint")), dict.fromkeys(SEALED, content))
    )["files"]["history.csv"]["sha256"]


@pytest.fixture
def finished(tmp_path):
    """A results folder in which every run is there, and its data set."""
    plan = plan_of(tmp_path)
    for cell, seed in plan.studies["compression"].runs():
        write_record(plan, *cell, seed)
    cache = Path(plan.caches, "digits/manifest.json")
    cache.parent.mkdir(parents=True)
    cache.write_text('{"checksum": "as prepared"}')
    return plan


def said(plan, asked=()):
    due._content.cache_clear()
    return due.told(due.find(plan, code_of, asked))


def record(plan, strategy="full", seed=0):
    return Path(plan.results, "runs", CELL, strategy, f"seed-{seed}")


def test_records_of_this_plan_stay(finished):
    assert said(finished) == []


def test_a_copied_folder_stays_and_one_under_other_settings_does_not(finished, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(finished.results, elsewhere / "demo")
    assert said(plan_of(elsewhere)) == []
    assert said(plan_of(elsewhere, recipe={"epochs": 500})) == [
        "6 records of study compression are due again: recipe.epochs was 2, is 500"
    ]
    assert said(plan_of(elsewhere, seeds=[1])) == [], "which seeds there are changes none of them"


def test_a_run_that_is_not_there_is_no_news(finished):
    shutil.rmtree(record(finished))
    (record(finished, seed=1) / "metrics.json").unlink()
    assert said(finished) == []


def test_other_code_names_the_files(finished):
    shutil.rmtree(record(finished))
    code = checksums(closure(TRAINING, *finished.modules("compression", "cnn-tiny", "full")))
    old = code | {"frugal/strategies/full.py": "0" * 64}
    plan = finished.run("compression", "digits", "cnn-tiny", "full", 0).plan(digest_of(old))
    write_record(finished, "digits", "cnn-tiny", "full", 0, code=old, plan=plan)
    (line,) = said(finished)
    assert line.startswith("1 record of study compression is due again: other code: frugal/strategies/full.py (digits/")


def test_other_data_is_named(finished):
    Path(finished.caches, "digits/manifest.json").write_text('{"checksum": "corrected"}')
    assert said(finished) == ["6 records of study compression are due again: data set digits has other content"]
    Path(finished.caches, "digits/manifest.json").write_text("{")
    assert said(finished) == [], "a cache that can't be read is the run's to refuse"


def test_a_control_follows_the_record_that_is_there(finished):
    shutil.rmtree(record(finished, "random-4-16", 1))
    write_record(finished, "digits", "cnn-tiny", "random-4-16", 1, followed="another")
    assert said(finished) == [
        "1 record of study compression is due again: ema-4-16, which it follows, has another record now "
        "(digits/cnn-tiny/random-4-16/seed-1)"
    ]


def test_who_uses_the_scores_of_another_run_is_due_when_either_its_scores_or_its_history_is_another(finished):
    files = read_identity(record(finished, "ema-4-16", 1))["files"]
    for followed, wanted in ((of_scores(files), 0), (of_scores(files | {"scores.npy": {"sha256": "0" * 64}}), 1)):
        shutil.rmtree(record(finished, "random-4-16", 1))
        write_record(finished, "digits", "cnn-tiny", "random-4-16", 1, followed=followed)
        assert len(said(finished)) == wanted


def test_a_record_in_another_runs_place_is_due(finished):
    shutil.rmtree(record(finished, seed=1))
    shutil.copytree(record(finished), record(finished, seed=1))
    told = f"1 record of study compression is due again: the record is that of {CELL}/full/seed-0"
    assert said(finished) == [f"{told} (digits/cnn-tiny/full/seed-1)"]


def test_tables_are_due_where_they_tell_of_other_failed_runs_than_there_are(finished):
    study, tables = finished.studies["compression"], Path(finished.results, "tables/compression")
    tables.mkdir(parents=True)
    (tables / "study.json").write_text(study.model_dump_json(exclude={"plans"}))

    def told(*failed):
        rows = [LeftOut(Cell("digits", "cnn-tiny", name), 0, why, failed=True) for name, why in failed]
        of_others = LeftOut(Cell("digits", "cnn-tiny", "full"), 1, "the record is broken")
        audit(study, [], [*rows, of_others]).to_csv(tables / "audit.csv", index=False)
        return due.tables(finished, lambda study: without_record(study, Path(finished.results), spec_of)[0])

    def spec_of(*run):
        return finished.run("compression", *run).model_dump(mode="json")

    assert told() == {}, "every record is there"
    (record(finished, "ema-4-16") / "metrics.json").unlink()
    failed.leave(
        record(finished, "ema-4-16"), spec_of("digits", "cnn-tiny", "ema-4-16", 0), FrugalError('a "rate", of 0')
    )
    why = f'a "rate", of 0; {record(finished, "ema-4-16")}/train.log'
    again = {"compression": ["failed runs"]}
    assert told() == again, "it failed after the tables were made"
    assert told(("ema-4-16", why)) == {}, "they were made since"
    assert told(("ema-4-16", "another reason")) == told(("ema-4-16", why), ("full", why)) == again
    (tables / "audit.csv").write_bytes(b"\xff")
    assert due.tables(finished, lambda study: {}) == again, "a file that can't be read"
    assert due.tables(finished) == {}, "runs that failed are tried again first"


def edit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


def not_text(path):
    path.write_bytes(b"\xff\xfe\x00" + path.read_bytes())


def folder(path):
    path.unlink()
    path.mkdir()


def empty(path):
    path.write_bytes(b"")


def not_an_object(path):
    path.write_text("[]")


@pytest.mark.parametrize(
    ("file", "spoil"),
    [
        *((file, spoil) for file in ("metrics.json", "history.csv") for spoil in (edit, cut, not_text, folder, empty)),
        *(
            (file, spoil)
            for file in ("iterations.csv", "trace.csv", "scores.npy")
            for spoil in (cut, not_text, folder, empty)
        ),
        *(("manifest.json", spoil) for spoil in (edit, cut, not_text, folder, empty, not_an_object, Path.unlink)),
        *((file, Path.unlink) for file in ("history.csv", "iterations.csv", "trace.csv")),
    ],
)
def test_a_record_that_was_changed_or_damaged_is_due_in_one_line(finished, file, spoil):
    spoil(record(finished) / file)
    (line,) = said(finished)
    assert line.startswith(f"1 record of study compression is due again: {file}: ")
    assert "\n" not in line


def test_what_was_made_before_there_were_seals_is_due(finished):
    manifest = record(finished) / "manifest.json"
    about = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({key: about[key] for key in ("spec", "code", "fingerprint", "data_checksum")}))
    assert "made by a version that sealed no records" in said(finished)[0]


def test_only_what_is_asked_for_is_looked_at(finished):
    for strategy in ("full", "ema-4-16", "random-4-16"):
        edit(record(finished, strategy) / "metrics.json")
    asked = {
        "full/seed-0/metrics.json": 1,
        "full/seed-1/metrics.json": 0,
        "random-4-16/seed-0/history.csv": 2,  # with the run that it follows
    }
    for file, count in asked.items():
        assert len(due.find(finished, code_of, [f"{finished.results}/runs/{CELL}/{file}"])) == count
    for file in ("tables/compression/summary.csv", "reports/compression.html", "index.html"):
        assert len(due.find(finished, code_of, [f"{finished.results}/{file}"])) == 3
    assert len(due.find(finished, code_of, ["tabulate"])) == 3


def test_who_follows_one_that_follows_others_is_looked_at_with_all_of_them(tmp_path):
    chain = ["short-as-rho", "rho", "held-out", "held-out-first"]
    config = {"studies": ["cross"], "results": str(tmp_path), "override": {"strategies": ["full", *reversed(chain)]}}
    plan = Plan(read_yaml(ROOT / "config/config.yaml") | config, ROOT / "config")
    asked = f"{plan.results}/runs/cross/digits/cnn-tiny/short-as-rho/seed-0/metrics.json"
    assert due._starts(plan, [asked]) == tuple(f"cross/digits/cnn-tiny/{strategy}/seed-0" for strategy in chain)


def test_many_reasons_are_counted(finished):
    found = [due.Due("compression", "", reason) for reason in ["common"] * 3 + list("abcdefg")]
    lines = due.told(found)
    assert lines[0] == "3 records of study compression are due again: common"
    assert len(lines) == due.MOST_REASONS + 1
    assert lines[-1] == "3 records of study compression are due again for 3 other reasons"
