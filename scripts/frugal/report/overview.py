"""The overview of a scale's results: each study's answer, a chart to explore, the leaderboard, what became of the runs."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from IPython.display import HTML, Markdown, display

from frugal.errors import FrugalError
from frugal.report import load
from frugal.report.answers import answer
from frugal.report.audit import FOREIGN, LACKING
from frugal.report.caveats import few_seeds, seeds_of
from frugal.report.display import table
from frugal.report.findings import few
from frugal.report.known_outcomes import NOT_RUN, VERDICTS
from frugal.report.leaderboard import Leaderboard
from frugal.report.links import Links
from frugal.report.load import Comparison, without_baseline
from frugal.report.repeat import SNAKEMAKE
from frugal.report.reported import claims, read_reported
from frugal.report.words import listed

if TYPE_CHECKING:
    from frugal.report.explorer import Explorer

TABLES = ("summary.csv", "summary.tex", "runs.csv", "history.csv", "audit.csv", "datapackage.json")
ANSWERS = 6  # that are shown unfolded, so that the chart is not far below
MOST = 100  # findings of one kind that are shown
CAPTION = (
    "Test accuracy against what was spent. The line is the plain net, trained anew for less. Colours: whether the exchange rate "
    "in the chosen cost is above 1 (saves) or below (wastes), its whole interval included. An arrow: a point below the picture."
)


class Overview:
    """All studies of a scale; every method shows a part of the page."""

    def __init__(self, results: str, page: str, reported: str, studies: Sequence[str], reports: Sequence[str]) -> None:
        """results: folder of the scale; page: where the page will lie; reported: folder of the authors' figures; studies: by
        default all that have tables; reports: those that have a report of their own.

        Raises FrugalError where a table is missing.
        """
        self.results = Path(results)
        tables = self.results / "tables"
        names = studies or sorted(path.parent.name for path in tables.glob(f"*/{load.STUDY}"))
        if not names:
            raise FrugalError(f"{tables} holds no tables; make them with: {SNAKEMAKE} {tables.parent}/index.html")
        self.tables = {name: tables / name for name in names}
        self.studies = {name: load.read_study_of(folder) for name, folder in self.tables.items()}
        self.compared = {name: load.comparisons(folder) for name, folder in self.tables.items()}
        self.links = Links(self.results, Path(page), reports)
        files = {name: Path(reported) / f"{name}.csv" for name in names}
        self._said = {name: read_reported(path) for name, path in files.items() if path.is_file()}
        self._board = Leaderboard(self._all, self.links)

    @property
    def _all(self) -> list[Comparison]:
        return [one for compared in self.compared.values() for one in compared]

    def opening(self) -> Markdown:
        """What these results are: scale, studies, runs; and a warning where seeds are few."""
        count = sum(len(one.everything) for one in self._all)
        planned = sum(len(list(study.runs())) for study in self.studies.values())
        runs = "run" if planned == 1 else "runs"
        of = f"{count:,} {runs}" if count == planned else f"{count:,} of {planned:,} planned {runs}"
        studies = f"{len(self.studies)} {'study' if len(self.studies) == 1 else 'studies'}"
        scales = ", ".join(sorted({study.scale for study in self.studies.values()}))
        warnings = sorted({text for one in self._all if (text := few_seeds(seeds_of(one)[0]))})[:1]  # the fewest
        return Markdown("\n\n".join([f"Results at the scale **{scales}**: {of} in {studies}.", *warnings]))

    def answers(self) -> HTML:
        """Each study's answer in one sentence, its question on hovering, and links to what lies behind it."""
        items = []
        for name, study in self.studies.items():
            title = self.links.to_study(name, study.title)
            told = answer(self.compared[name])
            if lacking := listed(
                [f"{dataset}, {model}" for dataset, model in without_baseline(study, self.compared[name])]
            ):
                told += f" Without a run of the plain net, so not compared: {html.escape(lacking)}."
            items.append(f'<li title="{html.escape(study.question, quote=True)}"><strong>{title}</strong> {told}</li>')
        first, others = (f'<ul class="answers">{"".join(part)}</ul>' for part in (items[:ANSWERS], items[ANSWERS:]))
        if len(items) == ANSWERS + 1 or not items[ANSWERS:]:
            return HTML(f'<ul class="answers">{"".join(items)}</ul>')
        return HTML(f"{first}<details><summary>{len(items) - ANSWERS} more studies</summary>{others}</details>")

    def explorer(self) -> "Explorer":
        """Accuracy over cost, to explore."""
        from frugal.report.explorer import Explorer  # its library takes seconds; missing tables are told before

        return Explorer(self._all, self._board.rows, CAPTION)

    def leaderboard(self) -> HTML:
        """Every strategy of every study, the highest exchange rate first."""
        return self._board.html()

    def tables_of_all(self) -> HTML:
        """The tables of each study, as links."""
        rows = [
            f"<li>{self.links.to_study(name)}: {' '.join(self.links.to_table(name, file) for file in TABLES)}</li>"
            for name in self.studies
        ]
        return HTML(f'<ul class="tables">{"".join(rows)}</ul>')

    def claims(self) -> pd.DataFrame:
        """What the authors reported beside what was measured."""
        found = claims(self._all, self._said)
        return found if len(found) else pd.DataFrame({"fact": ["None of these studies repeats reported figures."]})

    def status(self) -> pd.DataFrame:
        """A row per study: runs made of those planned, doubts of the audit, runs that were interrupted, machine, time, commit.

        What isn't there is no doubt; what the study never asked for isn't one either.
        """
        rows = []
        for name, study in self.studies.items():
            runs, audit = self._runs(name), self.compared[name][0].tables["audit"]
            doubts = int((~audit["finding"].isin([FOREIGN, *LACKING])).sum())
            dirty = runs["git_dirty"].astype(str).map({"True": " with changes"}).fillna("")
            commits = (runs["git_commit"].astype("string").str[:8] + dirty).fillna("not under git")
            rows.append(
                {
                    "study": name,
                    "runs": f"{len(runs)} of {len(list(study.runs()))}",
                    "without any run": "; ".join(self._without_runs(name)) or "none",
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

    def doubts(self) -> None:
        """Every doubt of the audit by its kind, folded, and every path that is none of a study's runs."""
        found = self._findings()
        _fold(found[~found["finding"].isin(LACKING)], "The audit found nothing to doubt.")

    def lacking(self) -> None:
        """What was planned and isn't there, by its kind, folded."""
        found = self._findings()
        _fold(found[found["finding"].isin(LACKING)], "Every run that was planned is there.")

    def _findings(self) -> pd.DataFrame:
        parts = [compared[0].tables["audit"].assign(study=name) for name, compared in self.compared.items()]
        found = pd.concat(parts, ignore_index=True)[["study", "dataset", "model", "finding", "runs", "detail"]]
        return found.assign(runs=found["runs"].map(few))

    def _without_runs(self, study: str) -> list[str]:
        """What has no row, for want of a record that could be used: grounds, and strategies of the others."""
        given, compared = self.studies[study], self.compared[study]
        found = [f"{dataset}, {model}: no plain net" for dataset, model in without_baseline(given, compared)]
        for one in compared:
            wanted = given.only(one.dataset, one.model).strategies
            if lacking := [name for name in wanted if name not in set(one.study.strategies)]:
                found.append(f"{one.dataset}, {one.model}: {listed(lacking)}")
        return found

    def _runs(self, study: str) -> pd.DataFrame:
        return pd.concat([one.everything for one in self.compared[study]])


def show_claims(found: pd.DataFrame) -> None:
    """Show what became of claims, a row each of `claim_verdicts`; those that no run here puts to the test are folded."""
    waiting = found["verdict"] == VERDICTS[NOT_RUN] if "verdict" in found else pd.Series(False, found.index)
    table(found[~waiting], cards=True)
    if waiting.any():
        told = f"Claims that no run here puts to the test: {waiting.sum()}"
        table(found.loc[waiting, ["claim", "tested", "reported", "source"]], fold=told, cards=True)


def _fold(found: pd.DataFrame, nothing: str) -> None:
    """Show findings of the audit, a folded table for each kind. nothing: what is said where there are none."""
    if found.empty:
        display(Markdown(nothing))
    for kind, rows in found.groupby("finding", sort=False):
        table = rows.drop(columns="finding").fillna("").head(MOST).to_html(index=False, border=0, justify="unset")
        more = f'<p class="remark">{len(rows) - MOST} more in audit.csv.</p>' if len(rows) > MOST else ""
        told = html.escape(f"{kind}: {len(rows)} {'finding' if len(rows) == 1 else 'findings'}")
        display(HTML(f'<details><summary>{told}</summary><div class="scroll findings">{table}</div>{more}</details>'))
