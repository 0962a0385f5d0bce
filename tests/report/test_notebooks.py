"""Every notebook runs on any tables of its study, shows figures that can be read, and says what to do where there are none."""

import re
import subprocess
import sys
import warnings
from pathlib import Path

import matplotlib as mpl
import nbformat
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal import report as public
from frugal.report import theme
from frugal.report.crossover import _break_even
from frugal.report.load import SERIES
from frugal.report.records import read_records
from frugal.report.tables import tabulate
from frugal.study import study_of
from report import factory

mpl.use("agg")
NOTEBOOKS = {path.stem: path for path in sorted(Path("notebooks").glob("*.ipynb"))}
CODE = {
    name: [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    for name, path in NOTEBOOKS.items()
}
AST = {
    "full": {},
    "infobatch": {"target": 0.4, "scoring": "fresh", "controller": "quantile"},
    "random-subset": {},
}


def ast(**changes):
    names = {"strategies": list(AST), "controls": ["random-subset"], "labels": {}, "parameters": AST}
    return factory.selection(name="ast", **names) | changes


def pruning(**changes):
    return factory.selection(name="pruning", cost="live_parameters", datasets=["digits", "words"]) | changes


def sparsity(**changes):
    return factory.sparsity() | changes


def cross(**changes):
    return factory.selection(name="cross") | changes


def own(**changes):
    return factory.selection(name="own") | changes


def alter(folder, of):
    """What strategies of a study log beside what everyone's histories hold."""
    for file in folder.rglob("history.csv"):
        history, strategy = pd.read_csv(file), file.parts[-3]
        epochs = len(history)
        if of == "ast" and strategy == "infobatch":
            history["sparse"], history["activation_rate"] = [0] + [1] * (epochs - 1), 0.4
            batches = pd.DataFrame({"epoch": np.repeat([2, 3], 30), "batch": np.tile(range(30), 2)})
            batches.assign(activation_rate=0.4, threshold=2.0).to_csv(file.with_name("trace.csv"), index=False)
        if of == "pruning":
            history["live_parameters"], history["flops_per_sample"] = 100_000, 1e6
        if of == "pruning" and strategy == "infobatch":
            history["removals"], history["layers_at_floor"] = [0, 2, 2], [0, 1, 1]
            history["width_conv1"] = [16, 8, 8]
        history.to_csv(file, index=False)


STUDIES = {
    "compression": factory.study,
    "infobatch": factory.selection,
    "sparsity": sparsity,
    "ast": ast,
    "pruning": pruning,
    "cross": cross,
    "own": own,
}
TIMES = [("block-16x16", 0.5, 1.4), ("block-16x16", 0.9, 0.4), ("random", 0.5, 0.8), ("random", 0.9, 1.1)]


def crossover():
    """A table of `scripts/crossover.py`, with a slower kernel beside each."""
    shape = {"outputs": 8, "inputs": 16, "batch": 4}
    rows = [
        {**shape, "pattern": pattern, "sparsity": sparsity, "kernel": kernel, "time_over_dense": time * slower}
        | {"memory_over_dense": 1.1 - sparsity, "temporary_over_dense": 0.25}
        for pattern, sparsity, time in TIMES
        for kernel, slower in (("bsr", 3.0), ("scatter", 1.0))
    ]
    return pd.DataFrame(rows)


def make(root: Path, name: str, **changes) -> None:
    """Tables of a study under root."""
    given = STUDIES[name](**changes)
    factory.write_runs(root, given)
    alter(root / "runs" / name, name)
    of = study_of(given)
    tabulate(of, read_records(of, root)).write(root / "tables" / name)


def run(name: str, root: Path, monkeypatch) -> tuple[list, list]:
    """Run every cell of a notebook as Jupyter would; the figures that it saved, and what it showed."""
    figures, shown = [], []
    saved = theme.save

    def save(drawn, *about):
        figure = drawn if isinstance(drawn, mpl.figure.Figure) else drawn.figure
        saved(drawn, *about)
        figures.append((about[0], figure))

    monkeypatch.setattr(theme, "save", save)
    monkeypatch.setattr(theme, "display", shown.append)
    monkeypatch.setattr("frugal.report.display.display", shown.append)
    own = {"figures": str(root / "figures"), "display": lambda *parts: shown.extend(parts)}
    own |= {"tables": str(root / "tables" / name), "measurements": str(root)}
    if name == "overview":
        own |= {"results": str(root), "page": str(root / "index.html")}
        monkeypatch.setattr("frugal.report.overview.display", lambda *parts: shown.extend(parts))
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a page shows them
        for place, cell in enumerate(CODE[name]):
            exec(compile(cell.source, f"{name}, code cell {place + 1}", "exec"), names)
            if "parameters" in cell.metadata.get("tags", []):
                names |= {key: value for key, value in own.items() if key in names or key == "display"}
    return figures, shown


def series(axes) -> int:
    """Colours of the lines and points in a panel."""
    lines = {line.get_color() for line in axes.lines if len(line.get_xdata()) > 2}
    return len(lines)


def test_the_map_says_from_where_on_it_pays_and_that_half_does_not():
    said = public.where_it_pays(crossover()).replace("\N{NO-BREAK SPACE}", " ")
    assert "`block-16x16` is faster than dense: 8 x 16 from 90 %" in said
    assert "`random` is faster than dense: 8 x 16 never" in said, "faster at 50 % alone is no rule"
    assert "**At 50 % not faster than dense, on any shape:** `block-16x16` (1.40 to 1.40 times as long)" in said
    assert "At 50 % faster than dense on every shape: `random`" in said


@given(st.lists(st.lists(st.sampled_from([0.5, 2.0]), min_size=3, max_size=3), min_size=1, max_size=4))
def test_the_line_lies_between_all_neighbours_on_two_sides_of_break_even(rows):
    grid = np.array(rows)
    apart = np.abs(np.diff(grid, axis=0)).astype(bool).sum() + np.abs(np.diff(grid, axis=1)).astype(bool).sum()
    edges = _break_even(grid)
    assert len(set(edges)) == len(edges) == apart
    for xs, ys in edges:
        assert abs(xs[1] - xs[0]) + abs(ys[1] - ys[0]) == 1


@pytest.mark.parametrize("name", STUDIES)
def test_a_notebook_runs_and_its_figures_show_something(name, tmp_path, monkeypatch):
    make(tmp_path, name)
    crossover().to_csv(tmp_path / "crossover.csv", index=False)
    figures, shown = run(name, tmp_path, monkeypatch)
    assert len(figures) >= (2 if name in ("cross", "own") else 5)
    assert len(shown) > len(figures)
    for title, figure in figures:
        svg = (tmp_path / f"figures/{title}.svg").read_text()
        assert "<text" in svg, "text stays text"
        assert "viewBox" in svg
        assert "var(--faint, #646b73)" in svg, "a dark page has its own colours"
        assert len(re.findall(r"<(?:path|use|rect)", svg)) > 8, f"{title} is empty"
        assert all((tmp_path / f"figures/{title}.{kind}").stat().st_size > 1000 for kind in ("pdf", "png"))
        assert max(map(series, figure.axes)) <= SERIES, title


@pytest.mark.parametrize(
    ("name", "few"),
    [
        ("compression", {"seeds": [0], "strategies": ["full", "fixed-4"], "target_accuracy": 1.0}),
        ("infobatch", {"seeds": [0], "strategies": ["full"], "controls": []}),
        ("ast", {"seeds": [0], "strategies": ["full", "random-subset"]}),
        ("pruning", {"seeds": [0], "strategies": ["full", "random-subset"], "controls": []}),
        ("sparsity", {"strategies": ["dense"], "controls": []}),
    ],
)
def test_a_notebook_runs_where_hardly_anything_was_run(name, few, tmp_path, monkeypatch):
    make(tmp_path, name, **few)
    crossover().to_csv(tmp_path / "crossover.csv", index=False)
    run(name, tmp_path, monkeypatch)


def test_the_overview_runs_by_hand(tmp_path, monkeypatch):
    for name in ("compression", "infobatch"):
        make(tmp_path, name, seeds=[0, 1])
    figures, _ = run("overview", tmp_path, monkeypatch)
    assert figures == [], "its one chart is no figure of matplotlib's"
    assert (tmp_path / "figures" / "explorer.svg").exists()


@pytest.mark.parametrize("name", ["compression", "overview"])
def test_opened_without_tables_it_says_in_one_line_which_command_makes_them(name, tmp_path):
    """By hand: in a copy where nothing was run, as `jupyter nbconvert --execute` starts it."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / NOTEBOOKS[name].name).write_text(NOTEBOOKS[name].read_text())
    (tmp_path / "scripts").symlink_to(Path("scripts").resolve())
    program = "; ".join(
        [
            "import nbformat, nbclient, sys",
            "book = nbformat.read(sys.argv[1], 4)",
            "client = nbclient.NotebookClient(book, allow_errors=True, resources={'metadata': {'path': 'notebooks'}})",
            "client.execute()",
            "told = [o for c in book.cells if c.cell_type == 'code' for o in c.outputs if o.output_type == 'error']",
            "print(chr(10).join(told[0].traceback))",
        ]
    )
    path = f"notebooks/{name}.ipynb"
    done = subprocess.run(
        [sys.executable, "-c", program, path], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    (line,) = done.stdout.strip().splitlines() or [done.stderr]
    assert line.startswith("frugal: results/demo/tables")
    assert "snakemake --cores all results/demo/" in line


@pytest.mark.parametrize("notebook", NOTEBOOKS.values(), ids=lambda path: path.stem)
def test_a_notebook_holds_no_output_and_short_cells(notebook):
    cells = nbformat.read(notebook, as_version=4).cells
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells)
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in cells) == 1
    assert max(len(cell.source.splitlines()) for cell in cells if cell.cell_type == "code") <= 30


def test_notebooks_use_what_is_offered_and_all_of_it():
    used = {name for cells in CODE.values() for cell in cells for name in re.findall(r"\breport\.(\w+)", cell.source)}
    assert used == set(public.__all__)
    own = set(STUDIES) - {"cross", "own"}  # which have no figures of their own
    assert all("import seaborn as sns" in "".join(cell.source for cell in CODE[name]) for name in own)
