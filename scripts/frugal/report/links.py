"""Where the pages of a scale lead: to a study's report, its tables, the record of a run, and the command that repeats it."""

import html
import shlex
from collections.abc import Sequence
from os.path import relpath
from pathlib import Path
from urllib.parse import quote

from frugal.errors import FrugalError
from frugal.record import HISTORY, MANIFEST, METRICS
from frugal.report.repeat import SNAKEMAKE, command
from frugal.study import Cell, Study

RECORD = {"metrics": METRICS, "history": HISTORY, "manifest": MANIFEST, "log": "train.log"}


class Links:
    """Links as HTML, relative to one page.

    results: folder of the scale; page: where the page will lie; reported: studies that have a report of their own
    """

    def __init__(self, results: Path, page: Path, reported: Sequence[str]) -> None:
        self.results, self.page, self.reported = results, page, set(reported)

    def address(self, path: Path) -> str:
        """Of a file or folder, from the page."""
        return quote(Path(relpath(path, self.page.parent)).as_posix())

    def to(self, path: Path, text: str) -> str:
        """A link to a file that need not be there yet."""
        return f'<a href="{html.escape(self.address(path))}">{html.escape(text)}</a>'

    def to_study(self, study: str, text: str = "") -> str:
        """A study's name, which leads to its report where it has one."""
        told = text or study
        return (
            self.to(self.results / "reports" / f"{study}.html", told) if study in self.reported else html.escape(told)
        )

    def to_table(self, study: str, file: str) -> str:
        """One of a study's tables, or what says what they are."""
        path = self.results / "tables" / study / file
        return self.to(_there(path), file)

    def to_records(self, study: Study, dataset: str, model: str, strategy: str) -> str:
        """The address of the folder that holds the records of a strategy's runs."""
        return self.address((self.results / study.folder(Cell(dataset, model, strategy), 0)).parent)

    def record(self, study: Study, dataset: str, model: str, strategy: str, seed: int) -> list[str]:
        """Which files a run's record has, as RECORD names them. Raises FrugalError where there is no record."""
        folder = self.results / study.folder(Cell(dataset, model, strategy), seed)
        _there(folder / METRICS)
        return [name for name, file in RECORD.items() if (folder / file).exists()]

    def command(self, study: Study, dataset: str, model: str, strategy: str, seeds: Sequence[int]) -> str | None:
        """What trains a strategy anew, all its seeds, and nothing else; None where it isn't known."""
        folder = (self.results / study.folder(Cell(dataset, model, strategy), 0)).parent
        numbers = ",".join(map(str, seeds))
        of_seeds = f"seed-{{{numbers}}}" if len(seeds) > 1 else f"seed-{numbers}"  # for the shell to write out
        return command(study, f"--force {shlex.quote(str(folder))}/{of_seeds}/{METRICS}")


def _there(path: Path) -> Path:
    if not path.exists():
        raise FrugalError(f"{path} is missing, and the overview would link to it; make it with: {SNAKEMAKE}")
    return path
