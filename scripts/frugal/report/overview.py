"""The overview of a scale's results: every strategy of every study in one table, what became of the runs, and links to both."""

import html
from collections.abc import Sequence
from os.path import relpath
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from IPython.display import HTML, Markdown, display

from frugal.errors import FrugalError
from frugal.record import HISTORY, MANIFEST, METRICS
from frugal.report import load
from frugal.report.audit import FOREIGN
from frugal.report.budget_curve import currency
from frugal.report.costs import COSTS
from frugal.report.load import Comparison
from frugal.report.reported import claims, read_reported, whole_percent
from frugal.report.sentences import exchange, few_seeds, headline, listed, points, tell
from frugal.study import Cell, Study

SCRIPT = Path(__file__).parent / "templates" / "sort.js"
RECORD = {"metrics": METRICS, "history": HISTORY, "manifest": MANIFEST, "log": "train.log"}
TABLES = ("summary", "runs", "history", "audit")
SAVED = ("flops_executed", "train_seconds", "bytes_read", "peak_memory_bytes", "energy_joules")
IN_WORDS, WORDS = ("verdict", "exchange", "study", "data, net"), ' class="words"'
RANK = {"saves": 2, "wastes": 0, "better": 4, "equal within the margin": 3, "baseline": 2, "undecided": 1, "worse": 0}


class Overview:
    """All studies of a scale; every method shows a part of the page."""

    def __init__(self, results: str, page: str, reported: str, studies: Sequence[str], reports: Sequence[str]) -> None:
        """results: folder of the scale; page: where the page will lie; reported: folder of the authors' figures; studies: by
        default all that have tables; reports: those that have a report of their own.

        Raises FrugalError where a table is missing.
        """
        self.results, self.page, self.reported = Path(results), Path(page), set(reports)
        tables = self.results / "tables"
        names = studies or sorted(path.parent.name for path in tables.glob(f"*/{load.STUDY}"))
        if not names:
            raise FrugalError(
                f"{tables} holds no tables; make them with: snakemake --cores all {tables.parent}/index.html"
            )
        self.tables = {name: tables / name for name in names}
        self.studies = {name: load.read_study_of(folder) for name, folder in self.tables.items()}
        self.compared = {name: load.comparisons(folder) for name, folder in self.tables.items()}
        files = {name: Path(reported) / f"{name}.csv" for name in names}
        self._said = {name: read_reported(path) for name, path in files.items() if path.is_file()}

    @property
    def _all(self) -> list[Comparison]:
        return [one for compared in self.compared.values() for one in compared]

    def opening(self) -> Markdown:
        """What these results are: scale, studies, runs; and a warning where seeds are few."""
        count = sum(len(one.everything) for one in self._all)
        studies = f"{len(self.studies)} {'study' if len(self.studies) == 1 else 'studies'}"
        scales = ", ".join(sorted({study.scale for study in self.studies.values()}))
        few = sorted({text for study in self.studies.values() if (text := few_seeds(study))})
        return Markdown("\n\n".join([f"Results at the scale **{scales}**: {count} runs in {studies}.", *few]))

    def answers(self) -> None:
        """Each study's question, its answer in short, and what lies behind it."""
        for name, study in self.studies.items():
            display(HTML(f'<h3 id="{name}-answer">{html.escape(study.title)}</h3>'))
            display(Markdown(f"*{study.question}*"), tell(self.tables[name], headline, mark="> "), self.behind(study))

    def leaderboard(self) -> HTML:
        """Every strategy of every study, the most accurate first; a click on a heading sorts, a choice of data set filters."""
        costs = [cost for cost in SAVED if any(one.summary[f"{cost}_saved_mean"].notna().any() for one in self._all)]
        saved = [COSTS[cost].saved for cost in costs]
        heads = [
            "strategy",
            "accuracy %",
            "points",
            "verdict",
            "exchange rate",
            "exchange",
            *saved,
            "study",
            "data, net",
            "runs",
        ]
        pairs = list(dict.fromkeys((one.dataset, one.model) for one in self._all))
        ranked = sorted(self._all, key=lambda one: pairs.index((one.dataset, one.model)))
        rows = [row for one in ranked for row in self._rows(one, costs)]
        head = "".join(f'<th scope="col"{WORDS if name in IN_WORDS else ""}>{name}</th>' for name in heads)
        table = f'<table class="sortable"><thead><tr>{head}</tr></thead>\n<tbody>{"".join(rows)}</tbody></table>'
        unknown = [COSTS[cost].noun for cost in SAVED if cost not in costs]
        remark = f'<p class="remark">Not measured in any run: {listed(unknown)}.</p>' if unknown else ""
        script = SCRIPT.read_text(encoding="utf-8")
        return HTML(
            f'<div class="board"><div class="scroll" tabindex="0">{table}</div>{remark}\n<script>{script}</script></div>'
        )

    def _rows(self, one: Comparison, costs: list[str]) -> list[str]:
        where, rows = f"{one.dataset}, {one.model}", []
        paid = currency(one.study)
        for _, row in one.summary.sort_values("test_accuracy_mean", ascending=False).iterrows():
            baseline = row["strategy"] == one.study.baseline
            difference = row["test_accuracy_difference_mean"]
            cells = [
                _cell(_named(one.study, row["strategy"]) + _own_recipe(row), row["strategy"]),
                _cell(_with_interval(row), row["test_accuracy_mean"]),
                _cell("" if baseline else "–" if pd.isna(difference) else points(difference), difference),
                _cell(_pill(row["verdict"], row["verdict_reason"]), RANK[row["verdict"]], WORDS),
                *_exchanged(row, paid, baseline),
                *(_cell(whole_percent(row[f"{cost}_saved_mean"]), row[f"{cost}_saved_mean"]) for cost in costs),
                _cell(self._study(one.study), one.study.name, WORDS),
                _cell(html.escape(where), where, WORDS),
                _cell(self._seeds(one, row["strategy"]), row["seeds"]),
            ]
            rows.append(f'<tr data-where="{html.escape(where, quote=True)}">{"".join(cells)}</tr>\n')
        return rows

    def heading(self, study: str) -> None:
        """The title of a study, where the links to it lead."""
        display(HTML(f'<h3 id="{study}">{html.escape(self.studies[study].title)}</h3>'))

    def measured(self, study: str) -> list[str]:
        """The costs that were measured in a study's runs; says which were not, and why."""
        runs, known = self._runs(study), []
        for cost in SAVED:
            known += [cost] * bool(runs[cost].notna().any())
        unknown = [COSTS[cost].axis for cost in SAVED if cost not in known]
        if unknown:
            why = ", ".join(sorted(set(runs["energy_source"])))
            display(Markdown(f"Not drawn: {listed(unknown)} ({why})."))
        return known

    def claims(self) -> pd.DataFrame:
        """What the authors reported beside what was measured."""
        return claims(self._all, self._said)

    def status(self) -> pd.DataFrame:
        """A row per study: runs made of those planned, doubts of the audit, runs that were interrupted, machine, time, commit."""
        rows = []
        for name, study in self.studies.items():
            runs, audit = self._runs(name), self.compared[name][0].tables["audit"]
            doubts = int((audit["finding"] != FOREIGN).sum())
            dirty = runs["git_dirty"].astype(str).map({"True": " with changes"}).fillna("")
            commits = (runs["git_commit"].astype("string").str[:8] + dirty).fillna("not under git")
            rows.append(
                {
                    "study": name,
                    "runs": f"{len(runs)} of {len(list(study.runs()))}",
                    "doubts": str(doubts or "none"),
                    "interrupted and resumed": str(int((runs["resumes"] > 0).sum()) or "none"),
                    "trained on": ", ".join(runs["gpu"].astype(object).fillna(runs["cpu"]).unique()),
                    "from": runs["started"].min()[:16].replace("T", " "),
                    "to (UTC)": runs["ended"].max()[:16].replace("T", " "),
                    "minutes of training": f"{runs['train_seconds'].sum() / 60:,.1f}",
                    "commit": ", ".join(commits.unique()),
                }
            )
        return pd.DataFrame(rows)

    def doubts(self) -> pd.DataFrame:
        """Every doubt of the audit, and every path that is none of a study's runs."""
        parts = [compared[0].tables["audit"].assign(study=name) for name, compared in self.compared.items()]
        found = pd.concat(parts, ignore_index=True)[["study", "dataset", "model", "finding", "runs", "detail"]]
        return found if len(found) else pd.DataFrame({"finding": ["The audit found nothing to doubt."]})

    def records(self) -> None:
        """The accuracy of every run, with links to the files of its record; one table per study, data set and model, folded."""
        for one in self._all:
            told = f"{one.study.name}: {one.dataset}, {one.model} — {len(one.everything)} runs"
            fidelity = " at the strategy's own fidelity" if one.fidelity_differs else ""
            accuracy, rows = one.everything.set_index(["strategy", "seed"])["test_accuracy"], []
            for strategy in one.study.trained:
                mark = " (scoring run)" if strategy in one.study.scoring else ""
                row = {"strategy": _named(one.study, strategy) + mark}
                for seed in one.study.seeds:
                    there = (strategy, seed) in accuracy.index
                    links = self._record(one, strategy, seed) if there else ""
                    row[f"seed {seed}"] = f"{100 * accuracy[strategy, seed]:.2f} % {links}" if there else "left out"
                rows.append(row)
            table = pd.DataFrame(rows).to_html(index=False, escape=False, border=0, justify="unset")
            remark = f'<p class="remark">Test accuracy{fidelity}.</p>'
            body = f'<div class="scroll">{table}</div>{remark}'
            display(HTML(f"<details><summary>{html.escape(told)}</summary>{body}</details>"))

    def behind(self, study: Study) -> HTML:
        """What lies behind a study's section: its report, notebook and tables, as a list of links."""
        reports, tables, found = self.results / "reports", self.tables[study.name], []
        if study.name in self.reported:
            found.append(self._to(reports / f"{study.name}.html", "Read the report"))
            found.append(self._to(reports / f"{study.name}.ipynb", "notebook"))
        found += [self._link(tables / f"{name}.csv", f"{name}.csv") for name in TABLES]
        return HTML('<ul class="links">' + "".join(f"<li>{one}</li>" for one in found) + "</ul>")

    def _runs(self, study: str) -> pd.DataFrame:
        return pd.concat([one.everything for one in self.compared[study]])

    def _link(self, path: Path, text: str) -> str:
        """A link as HTML, relative to the page; its target shows on hovering. Raises FrugalError where the file isn't there."""
        if not path.exists():
            raise FrugalError(
                f"{path} is missing, and the overview would link to it; make it with: snakemake --cores all"
            )
        return self._to(path, text)

    def _to(self, path: Path, text: str) -> str:
        """The same, of a file that need not be there yet."""
        address = quote(Path(relpath(path, self.page.parent)).as_posix())
        return f'<a href="{html.escape(address)}" title="{html.escape(str(path))}">{html.escape(text)}</a>'

    def _study(self, study: Study) -> str:
        """A study's name, which leads to its report or, where this page is its report, to its place here."""
        if study.name in self.reported:
            return self._to(self.results / "reports" / f"{study.name}.html", study.name)
        return f'<a href="#{study.name}">{study.name}</a>'

    def _seeds(self, one: Comparison, strategy: str) -> str:
        seeds = one.runs.loc[one.runs["strategy"] == strategy, "seed"]
        return " ".join(self._link(self._folder(one, strategy, seed) / RECORD["metrics"], str(seed)) for seed in seeds)

    def _record(self, one: Comparison, strategy: str, seed: int) -> str:
        folder = self._folder(one, strategy, seed)
        there = {name: folder / file for name, file in RECORD.items() if (folder / file).exists()}
        return " ".join(self._link(path, name) for name, path in there.items())

    def _folder(self, one: Comparison, strategy: str, seed: int) -> Path:
        return self.results / one.study.folder(Cell(one.dataset, one.model, strategy), seed)


def _cell(shown: str, value: object, kind: str = "") -> str:
    """A cell with what it is sorted by; nothing where that is not known, which goes last."""
    sorted_by = "" if not isinstance(value, str) and pd.isna(value) else html.escape(str(value), quote=True)
    return f'<td data-by="{sorted_by}"{kind}>{shown}</td>'


def _exchanged(row: pd.Series, paid: str, baseline: bool) -> list[str]:
    """The cells of an exchange rate and its verdict."""
    rate, verdict = row[f"{paid}_exchange_rate"], row[f"{paid}_exchange_verdict"]
    if baseline or pd.isna(rate):
        why = "" if baseline else html.escape(str(row["exchange_reason"]), quote=True)
        return [_cell(f'<span title="{why}">{"" if baseline else "–"}</span>', float("nan")), _cell("", "", WORDS)]
    told = f"{exchange(row, paid)} in {COSTS[paid].noun}; matched budget {row['matched_budget']:.2f}"
    value = f"{row[f'{paid}_exchange_bound'] if isinstance(row[f'{paid}_exchange_bound'], str) else ''}{rate:.2f}"
    return [
        _cell(f'<span title="{html.escape(told, quote=True)}">{value}</span>', rate),
        _cell(_pill(verdict, told), RANK[verdict], WORDS),
    ]


def _named(study: Study, strategy: str) -> str:
    """A strategy's name as code; its label shows on hovering."""
    label = html.escape(study.labels.get(strategy, ""), quote=True)
    return f'<code title="{label}">{html.escape(strategy)}</code>'


def _own_recipe(row: pd.Series) -> str:
    """What a strategy's recipe has that the baseline's has not, in small letters; empty for most."""
    told = row.get("own_recipe")
    return f"<br><small>own recipe: {html.escape(told)}</small>" if isinstance(told, str) else ""


def _pill(verdict: str, reason: str) -> str:
    """A verdict as a coloured word; its reason shows on hovering."""
    word, told = verdict.split()[0], html.escape(f"{verdict}: {reason}", quote=True)
    return f'<span class="verdict {word}" title="{told}">{word}</span>'


def _with_interval(row: pd.Series) -> str:
    mean, low, high = (100 * row[f"test_accuracy_{part}"] for part in ("mean", "low", "high"))
    half = f"<small> ± {(high - low) / 2:.2f}</small>" if pd.notna(low) else ""
    return f"{mean:.2f}{half}"
