"""Tables and paragraphs as a notebook shows them: HTML and markdown, verdicts coloured."""

import html
import re

import pandas as pd
from IPython.display import HTML, Markdown, display

from frugal.report import known_outcomes
from frugal.report.statistics import VERDICTS
from frugal.webpage import coloured_verdict

LONG = 30  # letters from which on a cell is broken into lines
NUMERIC = re.compile(
    r"[\s<>+\-\N{MINUS SIGN}\N{EN DASH}\N{NARROW NO-BREAK SPACE}]*[\d.]"
)  # how a cell with a number begins
COLOURED = {*VERDICTS, *known_outcomes.VERDICTS.values()}  # words of strategies, and of claims


def table(frame: pd.DataFrame, digits: int = 2, fold: str = "", cards: bool = False) -> None:
    """Show a data frame as a table that scrolls sideways on a phone: verdicts coloured, unknown numbers as dashes.

    fold: what it holds, for one that opens on a click. cards: on a phone each row is a card, which names its cells
    """
    if frame.empty:
        display(Markdown("None."))
        return
    rows = frame.reset_index() if frame.index.names != [None] else frame
    if "where" in rows and rows["where"].nunique() == 1 and "strategy" in rows:
        rows = rows.drop(columns="where")
    cells = rows.astype(object).map(lambda value: _cell(value, digits))
    wordy = [name for name in rows if _wordy(rows[name])]
    for name in wordy:
        cells[name] = [f'<span class="words">{text}</span>' for text in cells[name]]
    for name in {"strategy", "control", "against"} & set(cells):
        cells[name] = [f"<code>{text}</code>" for text in cells[name]]
    heads = {name: f'<span class="words">{name}</span>' for name in wordy}
    if cards:
        for name in cells.columns[1:]:
            told = zip(rows[name], cells[name], strict=True)
            cells[name] = ["" if value == "" else f'<span class="of">{name}</span> {text}' for value, text in told]
    shown = (
        cells.rename(columns=str).rename(columns=heads).to_html(index=False, escape=False, border=0, justify="unset")
    )
    shown = f'<div class="scroll{" facts" * ("fact" in cells)}{" cards" * cards}">{shown}</div>'
    display(HTML(f"<details><summary>{html.escape(fold)}</summary>{shown}</details>" if fold else shown))


def _wordy(column: pd.Series) -> bool:
    """Whether a column holds words rather than numbers, which are aligned to the right."""
    told = [value for value in column if isinstance(value, str) and value]
    return sum(NUMERIC.match(value) is None for value in told) > len(told) / 2


def _cell(value: object, digits: int) -> str:
    if isinstance(value, str):
        if value in COLOURED:
            return coloured_verdict(value, short=value.startswith("equal"))
        shown = html.escape(value)
        return f'<div class="long">{shown}</div>' if len(value) > LONG else shown
    if pd.isna(value):
        return "–"
    told = f"{value:,.{digits}f}" if isinstance(value, float) else html.escape(str(value))
    return told.replace("-", "\N{MINUS SIGN}") if isinstance(value, (int, float)) else told


def say(text: str) -> None:
    """Show a paragraph of markdown."""
    display(Markdown(text))
