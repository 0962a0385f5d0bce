"""Pages that are copied to be shown elsewhere: nothing they link is missing, nothing else in the folder is touched."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

RESULTS = Path("results/shown/titanic")
LARGEST = 1.0  # MB; its tables of iterations and epochs are larger


def shared(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """The command's outcome."""
    return subprocess.run([sys.executable, "scripts/share.py", *words], capture_output=True, text=True, check=False)


def dead_links(page: Path) -> set[str]:
    """Files beside a page that it names and that aren't there."""
    targets = re.findall(r'(?:href|src)="([^"#?]+)', page.read_text())
    local = {unquote(target) for target in targets if not re.match(r"[a-z]+:", target)}
    return {target for target in local if not (page.parent / target).exists()}


def test_shared_pages_have_no_dead_link_and_leave_what_else_is_there(tmp_path):
    out = tmp_path / "shown here"
    (out / "tables" / "of-before").mkdir(parents=True)
    (out / "tables" / "of-before" / "runs.csv").write_text("old")
    (out / "index.html").write_text("of before")
    (out / "README.md").write_text("mine")
    results = shutil.copytree(RESULTS, tmp_path / "results")
    (results / "reports" / "logs").mkdir()
    for log in ("reports/logs/cross.log", "tables/cross/tabulate.log", "tables/cross/benchmark.tsv"):
        (results / log).write_text("of a job")
    done = shared(results, out, "--largest", str(LARGEST), "--leave-out", "*.pdf")
    assert done.returncode == 0, done.stderr
    assert "tables/cross/iterations.csv" in done.stdout

    assert (out / "README.md").read_text() == "mine"
    assert not (out / "tables" / "of-before").exists()
    assert not list(out.rglob("*.pdf"))
    assert list(out.rglob("*.svg"))
    assert all(
        file.stat().st_size <= LARGEST * 1e6 for file in out.rglob("*") if file.is_file() and file.suffix != ".html"
    )
    assert not [*out.rglob("*.log"), *out.rglob("benchmark.tsv")]
    pages = list(out.rglob("*.html"))
    assert len(pages) == 2
    for page in pages:
        assert not dead_links(page)
        assert 'href="tables/cross/summary.csv"' in page.read_text() or page.name != "index.html"
    assert "iterations.csv</span>" in (out / "reports" / "cross.html").read_text()
    records = [file.relative_to(results) for file in (results / "runs").rglob("metrics.json")]
    assert records, "the leaderboard links them"
    assert all((out / file).exists() for file in records)
    listed = {one["path"] for one in json.loads((out / "tables/cross/datapackage.json").read_text())["resources"]}
    assert listed == {file.name for file in (out / "tables/cross").glob("*.csv")}


def test_what_cannot_be_shared_is_one_line_and_changes_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "paper" / "tables").mkdir(parents=True)
    (tmp_path / "live" / "reports" / "logs").mkdir(parents=True)
    (tmp_path / "live" / "index.html").write_text("mine")
    for words, said in (
        ((tmp_path / "empty", tmp_path / "out"), "has no index.html"),
        ((RESULTS, RESULTS / "out"), "lie in one another"),
        ((RESULTS, RESULTS.parent), "lie in one another"),
        ((RESULTS, tmp_path / "paper"), "has tables/ without an index.html"),
        ((RESULTS, tmp_path / "live"), "results that the workflow makes"),
    ):
        done = shared(*words)
        assert done.returncode
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "paper" / "tables").exists()
    assert (tmp_path / "live" / "index.html").read_text() == "mine"
    assert not (RESULTS / "out").exists()


def test_no_page_that_is_kept_here_has_a_dead_link():
    pages = list(Path("results/shown").rglob("*.html"))
    assert pages
    assert {str(page): links for page in pages if (links := dead_links(page))} == {}
