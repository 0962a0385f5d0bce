"""The scripts as Snakemake calls them: tabulate, render, index."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pandas as pd
import pytest

from report import factory, pages
from report.pages import call, render

NOTEBOOK = Path("notebooks/compression.ipynb")
STUDIES = pages.STUDIES
EXTERNAL = re.compile(r"""(?:<link[^>]+href|src|srcset|url\()\s*=?\s*["']?(?:https?:)?//""")
pytestmark = pytest.mark.xdist_group("pages")  # with test_browser, which looks at the same ones


def test_analysis_needs_no_torch():
    every = [f"frugal.report.{path.stem}" for path in Path("scripts/frugal/report").glob("*.py")]
    told = f"import sys; sys.path.insert(0, 'scripts'); import {', '.join(every)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", told], check=False).returncode == 0


def test_rendering_builds_no_parser_of_web_addresses_and_leaves_it_to_others():
    """`jsonschema` would import it, which takes longer than all else that a page needs."""
    code = "import sys; import frugal.report.page; assert 'rfc3987_syntax' not in sys.modules; import rfc3987_syntax"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": "scripts"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("name", "least"), [("compression", 8), ("infobatch", 6)])
def test_report_is_one_page_that_needs_no_network(rendered, name, least):
    page = (rendered / f"reports/{name}.html").read_text()
    assert not EXTERNAL.search(page)
    assert page.count("<script") == 1, "the mark in the list of contents"
    drawn = {kind: len(list((rendered / "reports" / name).glob(f"*.{kind}"))) for kind in ("svg", "pdf", "png")}
    assert page.count("<figure>") == drawn["svg"] == drawn["pdf"] == drawn["png"] >= least
    assert page.count('<details class="code">') > least, "the code of each cell, folded"
    assert "report.save(" in re.sub(r"<[^>]+>", "", page)
    assert "Traceback" not in page
    assert "Warning" not in page


def test_a_report_says_which_files_a_clone_lacks(rendered, tmp_path):
    """Of a study as it is here, and of the same one with data, a net and a strategy of a user's own."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells = notebook.cells[:2]
    nbformat.write(notebook, tmp_path / "short.ipynb")
    tables = shutil.copytree(rendered / "tables/compression", tmp_path / "tables/compression")
    study, runs = json.loads((tables / "study.json").read_text()), pd.read_csv(tables / "runs.csv")
    code = ["scripts/frugal/models/local_net.py", "scripts/frugal/strategies/local_mine.py"]
    own = study | {"name": "mine", "datasets": ["digits", "letters"], "models": ["net"]}
    needed = [f"config/local/{name}.yaml" for name in ("datasets", "models", "studies/mine")] + code
    for given, of_runs, files in ((study, [None, None], []), (own, [code[0], ", ".join(code)], needed)):
        (tables / "study.json").write_text(json.dumps(given))
        runs.assign(own_code=[of_runs[row % 2] for row in runs.index]).to_csv(tables / "runs.csv", index=False)
        done = render(tmp_path, notebook=tmp_path / "short.ipynb")
        assert done.returncode == 0, done.stderr
        page = (tmp_path / "reports/compression.html").read_text()
        told = re.findall("so a clone lacks them. (.*)</p>", page)
        assert [re.findall("<code>(.*?)</code>", text) for text in told] == [files] * bool(files)


def test_only_the_declared_outputs_are_left(rendered):
    left = sorted(path.name for path in [*rendered.iterdir(), *(rendered / "reports").iterdir()])
    reports = [name + end for name in STUDIES for end in ("", ".html", ".ipynb")]
    assert left == sorted([*reports, "index.html", "overview", "overview.ipynb", "reports", "runs", "tables"])


def behind(page: str) -> dict:
    """What the rows of the leaderboard open to."""
    board = page[page.index('<table class="sortable">') :]
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', board, re.DOTALL)[1])


def test_every_link_of_the_front_page_leads_somewhere(rendered):
    page = (rendered / "index.html").read_text().partition('<script type="module">')[0]
    links = re.findall(r'<a href="([^"]+)"', page)
    local = [link for link in links if not link.startswith(("data:", "#"))]
    told = behind(page)
    for _, facts in told["rows"]:
        for _, folder, runs in facts[told["names"].index("records")]:
            for seed, _, *missing in runs:
                names = missing[0] if missing else told["files"]
                local += [f"{folder}/seed-{seed}/{told['files'][name]}" for name in names]
    assert len(local) > 3 * (15 + 12), "the record of each run"
    assert all((rendered / unquote(link)).is_file() for link in local)
    inside = re.findall(r'href="#([^"]+)"', page)
    assert len(inside) >= 5, "points of the chart lead to rows of the leaderboard"
    assert all(f'id="{unquote(link)}"' in page for link in inside)


def test_the_front_page_has_a_row_per_strategy_with_all_that_is_behind_it(rendered):
    page = (rendered / "index.html").read_text().partition('<script type="module">')[0]
    board = page[page.index('<table class="sortable">') :].partition("</table>")[0]
    assert board.count("<tr id=") == len(behind(page)["rows"]) == 5 + 4 + 2
    assert "Not measured in any run: energy." in page
    facts = json.dumps(behind(page)["rows"])
    assert facts.count("--force") == 5 + 4 + 2
    assert '["full@0.25", ' in facts, "the row of the baseline leads to its runs with smaller budgets"
    assert "Every &lt;strategy&gt; on the" in page, "a title is text, not markup"
    assert {path.name for path in (rendered / "reports/overview").iterdir()} == {
        f"explorer.{kind}" for kind in ("svg", "pdf", "png")
    }
    assert "Traceback" not in page
    assert "Warning" not in page


def test_what_was_left_out_is_named_on_the_front_page_and_the_rest_rendered(rendered):
    page = (rendered / "index.html").read_text()
    assert "<td>3 of 6</td>" in page
    assert "digits, cnn-tiny: fixed-4" in page, "a strategy that has no row"
    assert "fixed-16/seed-1/metrics.json is broken: not valid JSON" in page
    assert "runs/cross/notes.txt is no run of this study" in page


def test_what_the_authors_reported_stands_beside_what_was_measured(rendered):
    page = (rendered / "index.html").read_text()
    table = page[page.index("<th>reported: saving</th>") :].partition("</table>")[0]
    assert "95.58 (test)" in table
    assert "2.3\N{NO-BREAK SPACE}% less time than fixed-16" in table
    assert "36.4\N{NO-BREAK SPACE}% time" in table


def test_failed_cell_leaves_the_earlier_report_alone(rendered, tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells = [*notebook.cells[:2], nbformat.v4.new_code_cell("raise ValueError('no such luck')")]
    broken, failed = tmp_path / "broken.ipynb", tmp_path / "failed.ipynb"
    nbformat.write(notebook, broken)
    kept = {path: path.read_bytes() for path in (rendered / "reports").rglob("*") if path.is_file()}
    done = render(rendered, notebook=broken, failed=failed)
    assert done.returncode == 2
    line = done.stderr.strip().splitlines()[-1]
    assert line == f"frugal: cell 4 of {broken} failed with ValueError: no such luck; see {failed}"
    assert "no such luck" in failed.read_text()
    assert {path: path.read_bytes() for path in (rendered / "reports").rglob("*") if path.is_file()} == kept


@pytest.mark.parametrize(
    ("script", "options", "said"),
    [
        ("tabulate_runs", {"study": "{", "results": ".", "out": "never"}, "not valid JSON"),
        ("tabulate_runs", {"study": "nowhere.json", "results": ".", "out": "never"}, "nowhere.json"),
        (
            "tabulate_runs",
            {"study": json.dumps(factory.study(baseline="best")), "results": ".", "out": "never"},
            "best",
        ),
        ("tabulate_runs", {"study": json.dumps(factory.study()), "results": "nowhere", "out": "never"}, "nowhere/runs"),
        ("index", {"studies": "compression", "results": "nowhere", "out": "never"}, "tables/compression/runs.csv"),
    ],
)
def test_bad_input_gives_one_line_and_no_file(script, options, said):
    done = call(script, **options)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("frugal: ")
    assert said in line
    assert not Path("never").exists()
