"""Where the pages of a scale lead: to a study's report, its tables, the record of a run, and the command that repeats it."""

import html
import shlex
from collections.abc import Sequence
from os.path import relpath
from pathlib import Path
from urllib.parse import quote

from frugal.errors import FrugalError
from frugal.record import HISTORY, MANIFEST, METRICS
from frugal.study import Cell, Study

RECORD = {"metrics": METRICS, "history": HISTORY, "manifest": MANIFEST, "log": "train.log"}


class Links:
    """Links as HTML, relative to one page.

    results: folder of the scale; page: where the page will lie; reported: studies that have a report of their own
    """

    def __init__(self, results: Path, page: Path, reported: Sequence[str]) -> None:
        self.results, self.page, self.reported = results, page, set(reported)

    def to_there(self, path: Path, text: str) -> str:
        """A link to a file that is there. Raises FrugalError where it isn't."""
        if not path.exists():
            raise FrugalError(
                f"{path} is missing, and the overview would link to it; make it with: snakemake --cores all"
            )
        return self.to(path, text)

    def to(self, path: Path, text: str) -> str:
        """A link to a file that need not be there yet."""
        address = quote(Path(relpath(path, self.page.parent)).as_posix())
        return f'<a href="{html.escape(address)}">{html.escape(text)}</a>'

    def to_study(self, study: str, text: str = "") -> str:
        """A study's name, which leads to its report where it has one."""
        told = text or study
        return (
            self.to(self.results / "reports" / f"{study}.html", told) if study in self.reported else html.escape(told)
        )

    def to_table(self, study: str, file: str) -> str:
        """One of a study's tables, or what says what they are."""
        return self.to_there(self.results / "tables" / study / file, file)

    def to_record(self, study: Study, dataset: str, model: str, strategy: str, seed: int) -> str:
        """The files of a run's record."""
        folder = self.results / study.folder(Cell(dataset, model, strategy), seed)
        if not (folder / METRICS).exists():
            return self.to_there(folder / METRICS, "metrics")
        there = {name: folder / file for name, file in RECORD.items() if (folder / file).exists()}
        return " ".join(self.to(path, name) for name, path in there.items())

    def command(self, study: Study, dataset: str, model: str, strategy: str, seeds: Sequence[int]) -> str:
        """What trains a strategy anew, all its seeds, and nothing else."""
        folder = (self.results / study.folder(Cell(dataset, model, strategy), 0)).parent
        numbers = ",".join(map(str, seeds))
        of_seeds = f"seed-{{{numbers}}}" if len(seeds) > 1 else f"seed-{numbers}"  # for the shell to write out
        chosen = shlex.join([f"scale={study.scale}", f"studies=[{study.name}]"])
        return (
            f".venv/bin/snakemake --cores all --force {shlex.quote(str(folder))}/{of_seeds}/{METRICS} --config {chosen}"
        )
