"""The front page of a scale's results, as one file that opens from disk without a network."""

from collections.abc import Callable
from os.path import relpath
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from nbconvert.filters.markdown_mistune import markdown2html_mistune

from frugal.analysis.comparison import Comparison, comparisons
from frugal.analysis.costs import COSTS
from frugal.analysis.display import Picture
from frugal.analysis.findings import few_seeds, headline
from frugal.analysis.tradeoff import tradeoff
from frugal.errors import FrugalError
from frugal.study import Cell, Study

TEMPLATES = Path(__file__).parent / "templates"
RECORD = {"metrics": "metrics.json", "history": "history.csv", "manifest": "manifest.json", "log": "train.log"}
Link = Callable[[Path], str]


def front_page(studies: list[Study], results: Path, page: Path) -> str:
    """The page's HTML. results: folder of the scale; page: where it will lie, since its links are relative.

    Raises FrugalError where a table or report that it would link to is missing.
    """

    def link(path: Path) -> str:
        if not path.exists():
            raise FrugalError(
                f"{path} is missing, and the overview would link to it; make it with: snakemake --cores all"
            )
        return quote(Path(relpath(path, page.parent)).as_posix())

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    sections = [_section(study, results, link) for study in studies]
    scales = ", ".join(sorted({study.scale for study in studies}))
    return environment.get_template("index.html.j2").render(studies=sections, scales=scales, style=style)


def _section(study: Study, results: Path, link: Link) -> dict[str, Any]:
    tables, reports = results / "tables" / study.name, results / "reports"
    compared = comparisons(study, tables)
    runs = pd.concat([one.runs for one in compared])
    return {
        **{"name": study.name, "title": study.title, "question": study.question},
        **{"strategies": study.strategies, "seeds": study.seeds, "count": len(runs)},
        "answers": [markdown2html_mistune(headline(one)) for one in compared],
        "warning": markdown2html_mistune(few_seeds(study)),
        "figures": [Picture(tradeoff, one, _caption(one)).html() for one in compared],
        "fidelity": any(one.fidelity_differs for one in compared),
        "report": link(reports / f"{study.name}.html"),
        "notebook": link(reports / f"{study.name}.ipynb"),
        "tables": [(f"{name}.csv", link(tables / f"{name}.csv")) for name in ("summary", "runs", "history", "audit")],
        "pairs": [{"name": f"{one.dataset}, {one.model}", "rows": _rows(one, results, link)} for one in compared],
        "provenance": provenance(runs),
    }


def _caption(compared: Comparison) -> str:
    where = f"{compared.dataset}, {compared.model}"
    return f"{where}: test accuracy against {COSTS[compared.study.cost].axis}; means over seeds."


def _rows(compared: Comparison, results: Path, link: Link) -> list[dict[str, Any]]:
    study, rows = compared.study, []
    accuracy = compared.runs.set_index(["strategy", "seed"])["test_accuracy"]
    for strategy in study.strategies:
        cells = []
        for seed in study.seeds:
            folder = results / study.folder(Cell(compared.dataset, compared.model, strategy), seed)
            files = [(name, link(folder / file)) for name, file in RECORD.items() if (folder / file).exists()]
            cells.append({"accuracy": accuracy[strategy, seed], "files": files})
        rows.append({"strategy": strategy, "runs": cells})
    return rows


def provenance(runs: pd.DataFrame) -> str:
    """Where, when and from which commit the runs were made, in one sentence."""
    machines = runs[["gpu", "cpu"]].drop_duplicates().itertuples(index=False)
    places = " and ".join(f"{one.gpu} with {one.cpu}" if pd.notna(one.gpu) else str(one.cpu) for one in machines)
    first, last = runs["ended"].min()[:10], runs["ended"].max()[:10]
    days = first if first == last else f"{first} to {last}"
    commits = [str(commit)[:10] for commit in runs["git_commit"].dropna().unique()]
    dirty = " with uncommitted changes" if (runs["git_dirty"].astype(str) == "True").any() else ""
    code = f"commit {', '.join(commits)}{dirty}" if commits else "not under git"
    hours = runs["train_seconds"].sum() / 3600
    spent = f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.1f} minutes"
    return f"{len(runs)} runs on {places}, {days}, {spent} of training in all; code: {code}."
