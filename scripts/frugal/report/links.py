"""Where the page of an overview leads: to reports, tables and the record of each run."""

import html
from collections.abc import Iterable
from os.path import relpath
from pathlib import Path
from urllib.parse import quote

from frugal.errors import FrugalError
from frugal.report.load import Comparison
from frugal.study import Cell, Study

RECORD = {"metrics": "metrics.json", "history": "history.csv", "manifest": "manifest.json", "log": "train.log"}
TABLES = ("summary", "runs", "history", "audit")


class Links:
    """Links of a page, relative to where it lies.

    results: folder of the scale; page: where the page will lie; reported: the studies that have a report of their own
    """

    def __init__(self, results: Path, page: Path, reported: Iterable[str]) -> None:
        self.results, self.page, self.reported = Path(results), Path(page), set(reported)

    def to(self, path: Path) -> str:
        """The address of a file. Raises FrugalError where it isn't there."""
        if not path.exists():
            raise FrugalError(
                f"{path} is missing, and the overview would link to it; make it with: snakemake --cores all"
            )
        return quote(Path(relpath(path, self.page.parent)).as_posix())

    def a(self, path: Path, text: str) -> str:
        """A link as HTML; its target shows on hovering."""
        address = self.to(path)
        return f'<a href="{html.escape(address)}" title="{html.escape(str(path))}">{html.escape(text)}</a>'

    def study(self, study: Study) -> str:
        """A study's name, which leads to its report or, where this page is its report, to its place here."""
        if study.name in self.reported:
            return self.a(self.results / "reports" / f"{study.name}.html", study.name)
        return f'<a href="#{study.name}">{study.name}</a>'

    def behind(self, study: Study) -> str:
        """What lies behind a study's section: its report, notebook and tables, as a list."""
        reports, tables = self.results / "reports", self.results / "tables" / study.name
        found = []
        if study.name in self.reported:
            found = [
                self.a(reports / f"{study.name}.html", "Read the report"),
                self.a(reports / f"{study.name}.ipynb", "notebook"),
            ]
        found += [self.a(tables / f"{name}.csv", f"{name}.csv") for name in TABLES]
        return '<ul class="links">' + "".join(f"<li>{one}</li>" for one in found) + "</ul>"

    def runs(self, compared: Comparison, strategy: str) -> str:
        """A strategy's seeds, each a link to the metrics of its run."""
        seeds = compared.runs.loc[compared.runs["strategy"] == strategy, "seed"]
        return " ".join(self.a(self._folder(compared, strategy, seed) / RECORD["metrics"], str(seed)) for seed in seeds)

    def records(self, compared: Comparison, strategy: str, seed: int) -> str:
        """All files of a run's record that are there, each a link."""
        folder = self._folder(compared, strategy, seed)
        there = {name: folder / file for name, file in RECORD.items() if (folder / file).exists()}
        return " ".join(self.a(path, name) for name, path in there.items())

    def _folder(self, compared: Comparison, strategy: str, seed: int) -> Path:
        return self.results / compared.study.folder(Cell(compared.dataset, compared.model, strategy), seed)
