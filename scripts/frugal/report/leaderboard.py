"""Every strategy of every study in one table that can be sorted: what it saves and costs, with a link to each run."""

import html
from pathlib import Path

import pandas as pd

from frugal.report.headline import HOLM, named, pill, whole_percent, with_interval
from frugal.report.links import Links
from frugal.report.load import Comparison
from frugal.report.sentences import listed, points

SCRIPT = Path(__file__).parent / "templates" / "sort.js"
SAVED = {  # column of runs.csv -> heading
    "flops_executed": "FLOPs saved",
    "train_seconds": "seconds saved",
    "bytes_read": "bytes saved",
    "peak_memory_bytes": "memory saved",
    "energy_joules": "joules saved",
}
IN_WORDS, WORDS = ("verdict", "corrected", "study", "data, net"), ' class="words"'
RANK = {"better": 4, "equal within the margin": 3, "baseline": 2, "undecided": 1, "worse": 0}


def leaderboard(compared: list[Comparison], links: Links) -> str:
    """The table as HTML with its script: a row per strategy, data set and model of each study, the most accurate first.

    Headings become buttons that sort, and a choice of data set appears, where scripts run; without them the table stands.
    """
    costs = [cost for cost in SAVED if any(one.summary[f"{cost}_saved_mean"].notna().any() for one in compared)]
    saved = [SAVED[cost] for cost in costs]
    heads = ["strategy", "accuracy %", "points", "verdict", "corrected", *saved, "study", "data, net", "runs"]
    rows = [row for one in _by_data(compared) for row in _rows(one, costs, links)]
    body = "\n".join(
        f'<tr data-where="{html.escape(where, quote=True)}">{"".join(cells)}</tr>' for where, cells in rows
    )
    head = "".join(f'<th scope="col"{WORDS if name in IN_WORDS else ""}>{name}</th>' for name in heads)
    script = SCRIPT.read_text(encoding="utf-8")
    table = f'<table class="sortable"><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>'
    unknown = [name.removesuffix(" saved") for name in SAVED.values() if name not in saved]
    remark = f'<p class="remark">Not measured in any run: {listed(unknown)}.</p>' if unknown else ""
    return f'<div class="board"><div class="scroll" tabindex="0">{table}</div>{remark}\n<script>{script}</script></div>'


def _by_data(compared: list[Comparison]) -> list[Comparison]:
    """Those of one data set and model beside each other, in the order in which these first come."""
    pairs = list(dict.fromkeys((one.dataset, one.model) for one in compared))
    return sorted(compared, key=lambda one: pairs.index((one.dataset, one.model)))


def _rows(compared: Comparison, costs: list[str], links: Links) -> list[tuple[str, list[str]]]:
    where, rows = f"{compared.dataset}, {compared.model}", []
    for _, row in compared.summary.sort_values("test_accuracy_mean", ascending=False).iterrows():
        baseline = row["strategy"] == compared.study.baseline
        difference = row["test_accuracy_difference_mean"]
        many = HOLM.format(len(compared.summary) - 1)
        cells = [
            _cell(named(compared.study, row["strategy"]), row["strategy"]),
            _cell(with_interval(row, "test_accuracy", 100, 2), row["test_accuracy_mean"]),
            _cell("" if baseline else "–" if pd.isna(difference) else points(difference), difference),
            _cell(pill(row["verdict"], row["verdict_reason"]), RANK[row["verdict"]], WORDS),
            _cell(pill(row["verdict_corrected"], many), RANK[row["verdict_corrected"]], WORDS),
            *(_cell(whole_percent(row[f"{cost}_saved_mean"]), row[f"{cost}_saved_mean"]) for cost in costs),
            _cell(links.study(compared.study), compared.study.name, WORDS),
            _cell(html.escape(where), where, WORDS),
            _cell(links.runs(compared, row["strategy"]), row["seeds"]),
        ]
        rows.append((where, cells))
    return rows


def _cell(shown: str, value: object, kind: str = "") -> str:
    """A cell with what it is sorted by; nothing where that is not known, which goes last."""
    sorted_by = "" if not isinstance(value, str) and pd.isna(value) else html.escape(str(value), quote=True)
    return f'<td data-by="{sorted_by}"{kind}>{shown}</td>'
