"""What a report notebook holds in its hands: the comparisons of one study, and ways to speak of each of them.

Notebooks import from here alone, so that the imports of this file are all that their rendering depends on.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from IPython.display import HTML, Markdown, display
from matplotlib.figure import Figure

from frugal.atomic import write_bytes
from frugal.report import (
    ast_figures,
    ast_findings,
    compression_figures,
    compression_findings,
    crossover,
    curves,
    figures,
    infobatch_figures,
    infobatch_findings,
    pruning_figures,
    pruning_findings,
    sparsity_findings,
    sparsity_layers,
    tradeoff,
)
from frugal.report import (
    headline as overview,
)
from frugal.report import (
    sentences as findings,
)
from frugal.report.display import Draw, Picture, figure, table
from frugal.report.load import Comparison, comparisons, read_table
from frugal.report.overview import Overview
from frugal.report.theme import Look
from frugal.study import read_study

__all__ = [
    "Overview",
    "Report",
    "ast_figures",
    "ast_findings",
    "compression_figures",
    "compression_findings",
    "crossover",
    "curves",
    "figures",
    "findings",
    "infobatch_figures",
    "infobatch_findings",
    "overview",
    "pruning_figures",
    "pruning_findings",
    "sparsity_findings",
    "sparsity_layers",
    "tradeoff",
]


class Report:
    """One study's report; every method repeats itself for each data set and model that the study compares."""

    def __init__(self, study: str, tables: str, figures: str, reported: str, measurements: str = "") -> None:
        """study: JSON or the path of a JSON file; tables, figures: folders; reported: the author's figures as CSV.

        measurements: folder with tables about the machine, for a study that asks for some
        """
        self.study = read_study(study)
        self.compared = comparisons(self.study, tables)
        self.figures = Path(figures)
        self.reported = overview.read_reported(reported)
        self.measured = {name: read_table(Path(measurements), name) for name in self.study.measurements}

    def setting(self) -> None:
        """Show what was run, as the records tell it."""
        display(HTML(f'<div class="facts">{table(overview.setting(self.study, self.compared))}</div>'))

    def say(self, *sentences: Callable[[Comparison], str], mark: str = "") -> None:
        """Show sentences that are computed from the tables. mark: put before them, e.g. "> " for a quotation."""
        for one in self._each():
            said = [mark + text for sentence in sentences if (text := sentence(one))]
            if said:
                display(Markdown("\n\n".join(said)))

    def table(self, rows: Callable[[Comparison], pd.DataFrame]) -> None:
        """Show a table."""
        for one in self._each():
            display(HTML(table(rows(one))))

    def whole(self, *parts: Callable[[list[Comparison], pd.DataFrame], pd.DataFrame | str]) -> None:
        """Show tables or paragraphs about every data set and model at once, made with the author's figures."""
        for part in parts:
            made = part(self.compared, self.reported)
            display(Markdown(made) if isinstance(made, str) else HTML(table(made)))

    def show(self, draw: Draw, name: str, caption: str) -> None:
        """Show a figure and save it as <data set>-<model>-<name>.png."""
        for one in self._each():
            display(figure(draw, one, self.figures, name, caption))

    def chart(self, measurement: str, draw: Callable[[pd.DataFrame, Look], Figure], name: str, caption: str) -> None:
        """Show a figure of a measurement of this machine and save it as <name>.png."""
        rows, one = self.measured[measurement], self.compared[0]
        about = f"{(draw.__doc__ or caption).splitlines()[0]} Measured on this machine."
        picture = Picture(lambda _, look: draw(rows, look), one, caption, about)
        write_bytes(self.figures / f"{name}.png", picture.plain)
        display(picture)

    def tell(self, measurement: str, *sentences: Callable[[pd.DataFrame], str]) -> None:
        """Show sentences that are computed from a measurement of this machine."""
        display(Markdown("\n\n".join(sentence(self.measured[measurement]) for sentence in sentences)))

    def _each(self) -> Iterator[Comparison]:
        """The comparisons, one after the other, each under its heading where there are several."""
        for one in self.compared:
            if len(self.compared) > 1:
                display(Markdown(f"### {one.dataset}, {one.model}{' (generated data)' * one.generated}"))
            yield one
