"""What became of the runs of a study: how many there are, what was left out and why, where and when they were made."""

import html

import pandas as pd

from frugal.report.audit import FOREIGN
from frugal.report.display import table
from frugal.report.links import Links
from frugal.report.load import Comparison
from frugal.study import Study


def status(studies: list[Study], compared: dict[str, list[Comparison]], links: Links) -> pd.DataFrame:
    """A row per study: runs made of those planned, seeds, doubts of the audit, runs that were interrupted. Cells are HTML."""
    rows = []
    for study in studies:
        runs, audit = _runs(compared[study.name]), compared[study.name][0].tables["audit"]
        doubts = int((audit["finding"] != FOREIGN).sum())
        rows.append(
            {
                "study": links.study(study),
                "runs": f"{len(runs)} of {len(list(study.runs()))}",
                "doubts": str(doubts or "none"),
                "interrupted and resumed": str(int((runs["resumes"] > 0).sum()) or "none"),
                "trained on": _listed(runs["gpu"].fillna(runs["cpu"])),
                "from": runs["started"].min()[:16].replace("T", " "),
                "to (UTC)": runs["ended"].max()[:16].replace("T", " "),
                "minutes of training": f"{runs['train_seconds'].sum() / 60:,.1f}",
                "commit": _listed(_commits(runs)),
            }
        )
    return pd.DataFrame(rows)


def _runs(compared: list[Comparison]) -> pd.DataFrame:
    return pd.concat([one.runs for one in compared])


def remarks(studies: list[Study], compared: dict[str, list[Comparison]]) -> str:
    """Every doubt of the audit, and every path that is none of a study's runs, as a list in HTML; empty where there is none."""
    lines = []
    for study in studies:
        for row in compared[study.name][0].tables["audit"].itertuples():
            where = f", {row.dataset}/{row.model}" if pd.notna(row.dataset) else ""
            runs = f" {row.runs}:" if pd.notna(row.runs) and row.runs else ""
            lines.append(f"<b>{study.name}{where}: {row.finding}.</b>{html.escape(f'{runs} {row.detail}')}")
    return "<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>" if lines else ""


def runs(compared: Comparison, links: Links) -> str:
    """The accuracy of every run with links to its record, a row per strategy, as HTML."""
    accuracy = compared.runs.set_index(["strategy", "seed"])["test_accuracy"]
    rows = []
    for strategy in compared.study.strategies:
        row = {"strategy": f"<code>{html.escape(strategy)}</code>"}
        for seed in compared.study.seeds:
            there = (strategy, seed) in accuracy.index
            row[f"seed {seed}"] = (
                f"{100 * accuracy[strategy, seed]:.2f} % {links.records(compared, strategy, seed)}"
                if there
                else "left out"
            )
        rows.append(row)
    return table(pd.DataFrame(rows))


def _listed(values: pd.Series) -> str:
    return "<br>".join(html.escape(str(value)) for value in values.dropna().unique()) or "–"


def _commits(runs: pd.DataFrame) -> pd.Series:
    dirty = runs["git_dirty"].astype(str).map({"True": " with changes"}).fillna("")
    return (runs["git_commit"].astype("string").str[:8] + dirty).fillna("not under git")
