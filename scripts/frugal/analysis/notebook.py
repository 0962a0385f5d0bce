"""What a report notebook holds in its hands: the comparisons of one study, and ways to speak of each of them.

Notebooks import from here alone, so that the imports of this file are all that their rendering depends on.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from IPython.display import HTML, Markdown, display

from frugal.analysis import (
    ast_figures,
    ast_findings,
    compression_figures,
    compression_findings,
    curves,
    figures,
    findings,
    infobatch_figures,
    infobatch_findings,
    overview,
    tradeoff,
)
from frugal.analysis.comparison import Comparison, comparisons
from frugal.analysis.display import Draw, figure, table
from frugal.study import read_study

__all__ = [
    "Report",
    "ast_figures",
    "ast_findings",
    "compression_figures",
    "compression_findings",
    "curves",
    "figures",
    "findings",
    "infobatch_figures",
    "infobatch_findings",
    "overview",
    "tradeoff",
]


class Report:
    """One study's report; every method repeats itself for each data set and model that the study compares."""

    def __init__(self, study: str, tables: str, figures: str, reported: str) -> None:
        """study: JSON or the path of a JSON file; tables, figures: folders; reported: the author's figures as CSV."""
        self.study = read_study(study)
        self.compared = comparisons(self.study, tables)
        self.figures = Path(figures)
        self.reported = overview.read_reported(reported)

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

    def _each(self) -> Iterator[Comparison]:
        """The comparisons, one after the other, each under its heading where there are several."""
        for one in self.compared:
            if len(self.compared) > 1:
                display(Markdown(f"### {one.dataset}, {one.model}"))
            yield one
