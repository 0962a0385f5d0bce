"""Pages that are copied to be shown elsewhere: nothing they link is missing or of other settings, nothing else is touched."""

import json
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import pytest

RESULTS = Path("results/shown/titanic")
LARGEST = 1.0  # MB; its tables of iterations and epochs are larger
RUN = "runs/cross/titanic/mlp/full/seed-0"
ALONE = ("runs/cross/titanic/mlp/full/seed-99/history.csv", "runs/of-before/seed-0/metrics.json")  # not in the tables


def shared(*words: str | Path, **limited: Callable) -> subprocess.CompletedProcess[str]:
    """The command's outcome. limited: options of subprocess.run"""
    command = [sys.executable, "scripts/share.py", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, **limited)


def refused(done: subprocess.CompletedProcess[str], said: str) -> None:
    """Assert that a command ended with one line that says this."""
    assert done.returncode == 2, done.stdout
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert said in done.stderr


def contents(folder: Path) -> dict[str, bytes]:
    """What a folder holds, by name."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def results(tmp_path):
    """Results of a scale, with records that no table has yet."""
    copied = shutil.copytree(RESULTS, tmp_path / "results")
    for name in ALONE:
        (copied / name).parent.mkdir(parents=True)
        (copied / name).write_text("{}")
    return copied


def dead_links(page: Path) -> set[str]:
    """Files beside a page that it names and that aren't there."""
    targets = re.findall(r'(?:href|src)="([^"#?]+)', page.read_text())
    local = {unquote(target) for target in targets if not re.match(r"[a-z]+:", target)}
    return {target for target in local if not (page.parent / target).exists()}


def test_shared_pages_have_no_dead_link_and_leave_what_else_is_there(results, tmp_path):
    out = tmp_path / "shown here"
    assert shared(results, out).returncode == 0
    (out / "tables" / "of-before").mkdir()
    (out / "tables" / "of-before" / "runs.csv").write_text("old")
    (out / "README.md").write_text("mine")
    (results / "reports" / "logs").mkdir()
    of_jobs = (
        "reports/logs/cross.log",
        "tables/cross/tabulate.log",
        "tables/cross/benchmark.tsv",
        "reports/cross/.stamp",
    )
    for log in of_jobs:
        (results / log).write_text("of a job")
    done = shared(results, out, "--largest", str(LARGEST), "--leave-out", "*.pdf")
    assert done.returncode == 0, done.stderr
    assert "tables/cross/iterations.csv" in done.stdout
    assert "records that no table has (2)" in done.stdout
    assert not [name for name in ALONE if (out / name).exists()]

    assert (out / "README.md").read_text() == "mine"
    assert not (out / "tables" / "of-before").exists()
    assert not list(out.rglob("*.pdf"))
    assert list(out.rglob("*.svg"))
    assert all(
        file.stat().st_size <= LARGEST * 1e6 for file in out.rglob("*") if file.is_file() and file.suffix != ".html"
    )
    assert not [log for log in of_jobs if (out / log).exists()]
    pages = list(out.rglob("*.html"))
    assert len(pages) == 2
    for page in pages:
        assert not dead_links(page)
        assert 'href="tables/cross/summary.csv"' in page.read_text() or page.name != "index.html"
    assert "iterations.csv</span>" in (out / "reports" / "cross.html").read_text()
    records = [file.relative_to(RESULTS) for file in (RESULTS / "runs").rglob("metrics.json")]
    assert records, "the leaderboard links them"
    assert all((out / file).exists() for file in records)
    listed = {one["path"] for one in json.loads((out / "tables/cross/datapackage.json").read_text())["resources"]}
    assert listed == {file.name for file in (out / "tables/cross").glob("*.csv")}


@pytest.mark.parametrize(
    "name",
    ["index.html", "tables/mine.csv", "reports/q3.pdf", f"{RUN}/metrics.json", "notes.txt"],
)
def test_what_share_did_not_make_is_never_replaced(tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    refused(shared(RESULTS, tmp_path), f"{tmp_path} holds what share.py did not copy there")
    assert contents(tmp_path) == {name: b"mine"}


def test_results_that_the_workflow_makes_in_a_copy_are_not_replaced(tmp_path):
    out = tmp_path / "live"
    assert shared(RESULTS, out).returncode == 0
    (out / "reports" / "logs").mkdir()
    (out / "index.html").write_text("mine")
    refused(shared(RESULTS, out), "did not copy there")
    assert (out / "index.html").read_text() == "mine"


def test_what_cannot_be_shared_is_one_line_and_changes_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    for words, said in (
        ((tmp_path / "empty", tmp_path / "out"), "has no index.html"),
        ((RESULTS, RESULTS / "out"), "lie in one another"),
        ((RESULTS, RESULTS.parent), "lie in one another"),
        ((RESULTS, tmp_path / "file"), "File exists"),
    ):
        refused(shared(*words), said)
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "file").read_text() == "mine"
    assert not (RESULTS / "out").exists()


def test_records_of_other_settings_than_the_tables_are_not_shared(results, tmp_path):
    out = tmp_path / "out"
    assert shared(results, out).returncode == 0
    before = contents(out)
    record = results / RUN / "metrics.json"
    made = json.loads(record.read_text())
    for content, said in (({**made, "epochs": 3, "fingerprint": "of another"}, "is another"), (None, "is missing")):
        record.unlink() if content is None else record.write_text(json.dumps(content))
        refused(shared(results, out), f"{RUN} {said}; run the workflow again")
        assert contents(out) == before


def test_what_is_interrupted_leaves_the_copy_of_before(results, tmp_path):
    out = tmp_path / "out"
    assert shared(results, out).returncode == 0
    before = contents(out)
    (results / "index.html").write_text("new")
    (results / RUN / "history.csv").write_text("new")
    small = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (100_000, 100_000))
    refused(shared(results, out, preexec_fn=small), f"cannot copy {results} to {out}: File too large")
    assert contents(out) == before


def test_no_page_that_is_kept_here_has_a_dead_link():
    pages = list(Path("results/shown").rglob("*.html"))
    assert pages
    assert {str(page): links for page in pages if (links := dead_links(page))} == {}
