"""Page of a comparison of two sets of results: the changes that matter, the rest, folded, and what they were made with."""

import html
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from frugal.report.compare import ACCURACY, BETTER, NOISE, SAME, SMALL, WORSE, told
from frugal.report.compare_settings import Apart
from frugal.report.costs import COSTS, METRICS
from frugal.webpage import coloured_verdict, document

TITLE = "B against A: what changed"
MOST = 1000  # rows of a table; the terminal shows all
CELLS = 2  # that are named where something differs
HEAD = ("strategy", "figure", "verdict", "change", "95 % interval", "A", "B", "p", "study", "data set, model")
TIMES = "\N{MULTIPLICATION SIGN} "


def page_of(
    places: Sequence[str | Path],
    page: Path,
    found: pd.DataFrame,
    settings: tuple[list[Apart], list[str]],
    only: dict[str, list[str]],
    relevant: float,
    relevant_cost: float,
) -> str:
    """The page as HTML.

    places: A and B; page: where it will lie, for its links; found: as `compare.differences` gives it, with the same relevant and
    relevant_cost; settings: as `compare_settings.apart` gives it; only: cells that one of the two alone has, by A and B
    """
    matter = found[found["verdict"].isin([BETTER, WORSE])]
    order = {WORSE: 0, BETTER: 1}
    matter = matter.sort_values("verdict", key=lambda names: names.map(order), kind="stable")
    parts = [
        f"<p>A: {_place(places[0], page)}<br>B: {_place(places[1], page)}</p>",
        f"<blockquote><p>{_answer(found, len(matter))}</p></blockquote>",
        f'<p class="remark">{_terms(relevant, relevant_cost)}</p>',
        "<h2>Changes that matter</h2>",
        _table(matter) if len(matter) else "<p>None.</p>",
        "<h2>The rest</h2>",
        *_rest(found, relevant, relevant_cost),
        *(_alone(name, cells) for name, cells in only.items() if cells),
        "<h2>What they were made with</h2>",
        *_made(*settings),
    ]
    return document(TITLE, "\n".join(parts))


def _place(place: str | Path, page: Path) -> str:
    """Where a set of results lies, with a link to its overview where it has one."""
    overview, name = Path(place, "index.html"), f'<code class="path">{html.escape(str(place))}</code>'
    if not overview.is_file():
        return name
    address = quote(Path(os.path.relpath(overview, page.absolute().parent)).as_posix())
    return f'{name} <a href="{html.escape(address, quote=True)}">overview</a>'


def _answer(found: pd.DataFrame, matter: int) -> str:
    cells = len(found.drop_duplicates(["study", "dataset", "model", "strategy"]))
    counts = found["verdict"].value_counts()
    changes = f"{counts.get(WORSE, 0)} worse, {counts.get(BETTER, 0)} better" if matter else "none matters"
    noun = "cell (strategy, data set and model)" if cells == 1 else "cells (strategy, data set and model)"
    return f"{len(found):,} figures of {cells:,} {noun} are in both: {changes}."


def _terms(relevant: float, relevant_cost: float) -> str:
    least = [f"{100 * relevant:g} points of test accuracy"] * (relevant > 0)
    least += [f"{100 * relevant_cost:g} % of a cost"] * (relevant_cost > 0)
    size = f"is at least {' and '.join(least)}, and " if least else ""
    return (
        f"A change matters where it {size}is beyond the noise of the seeds: paired by seed where both sets share two or more, "
        "else by Welch’s test; p is corrected for the number of cells (Holm), intervals are not. Costs are given as ratios, "
        "B over A."
    )


def _made(found: list[Apart], unknown: list[str]) -> Iterable[str]:
    """The table of what differs; source files, which are many where commits differ, are folded."""
    files = [one for one in found if one.kind == "source"]
    if others := [one for one in found if one.kind != "source"]:
        yield _apart(others)
    if files:
        noun = "source file differs" if len(files) == 1 else "source files differ"
        yield f"<details><summary>{len(files):,} {noun}</summary>{_apart(files)}</details>"
    if not found:
        yield "<p>Nothing that is known differs: commits, data, settings, packages, source files, seeds, machines.</p>"
    yield from (f'<p class="note">{html.escape(text)}</p>' for text in unknown)


def _apart(found: list[Apart]) -> str:
    rows = [[f"{one.kind} {one.name}".strip(), one.before, one.after, _where(one.cells)] for one in found]
    return _html(("", "A", "B", "where"), [[html.escape(text) for text in row] for row in rows], "made")


def _where(cells: list[str]) -> str:
    more = f" and {len(cells) - CELLS} more" if len(cells) > CELLS else ""
    return ", ".join(cells[:CELLS]) + more if cells else "everywhere"


def _rest(found: pd.DataFrame, relevant: float, relevant_cost: float) -> Iterable[str]:
    rest = found[~found["verdict"].isin([BETTER, WORSE])]
    if rest.empty:
        yield "<p>Nothing.</p>"
    for verdict, rows in sorted(rest.groupby("verdict", sort=False), key=lambda one: (one[0] == SAME, one[0] != SMALL)):
        told_of = f"{verdict}: {len(rows):,} {'figure' if len(rows) == 1 else 'figures'}"
        if verdict == NOISE and (open_still := _open(rows, relevant, relevant_cost)):
            told_of += f"; of {open_still:,} the seeds are too few to exclude a change that matters"
        yield f"<details><summary>{html.escape(told_of)}</summary>{_table(rows)}</details>"


def _open(rows: pd.DataFrame, relevant: float, relevant_cost: float) -> int:
    """How many intervals reach beyond what is relevant, where anything is given as such."""
    accurate = rows["figure"] == ACCURACY
    reach = pd.concat([rows["low"].abs(), rows["high"].abs()], axis=1).max(axis=1)
    share = pd.concat([(rows["ratio_low"] - 1).abs(), (rows["ratio_high"] - 1).abs()], axis=1).max(axis=1)
    beyond = (accurate & (reach >= relevant) & (relevant > 0)) | (
        ~accurate & (share >= relevant_cost) & (relevant_cost > 0)
    )
    return int(beyond.sum())


def _alone(name: str, cells: list[str]) -> str:
    items = "".join(f'<li><code class="path">{html.escape(cell)}</code></li>' for cell in cells[:MOST])
    more = f"<li>and {len(cells) - MOST:,} more</li>" if len(cells) > MOST else ""
    told = f"only in {name}, not compared: {len(cells):,} {'cell' if len(cells) == 1 else 'cells'}"
    return f"<details><summary>{told}</summary><ul>{items}{more}</ul></details>"


def _table(rows: pd.DataFrame) -> str:
    shown = [_row(row) for row in rows.head(MOST).itertuples()]
    more = (
        f'<p class="remark">{len(rows) - MOST:,} more: scripts/compare.py --all prints them.</p>'
        if len(rows) > MOST
        else ""
    )
    return _html(HEAD, shown, "changes") + more


def _row(row: tuple) -> list[str]:
    if row.figure == ACCURACY:
        name, change = "test accuracy", f"{100 * row.difference:+.2f} points"
        ends = [f"{100 * end:+.2f}" for end in (row.low, row.high)] if row.low == row.low else []
    else:
        name = COSTS[row.figure].noun if row.figure in COSTS else METRICS[row.figure].axis
        change = f"{TIMES}{row.ratio:.3f}" if row.ratio == row.ratio else "was 0"
        ends = [f"{end:.3f}" for end in (row.ratio_low, row.ratio_high)] if row.ratio_low == row.ratio_low else []
    p = f"{row.p:.2g}" if row.p == row.p else ""
    amounts = (told(row.figure, amount) for amount in (row.before, row.after))
    numbers = [text.replace("-", "\N{MINUS SIGN}") for text in (change, " to ".join(ends))]
    return [
        f"<code>{html.escape(row.strategy)}</code>",
        html.escape(name),
        coloured_verdict(row.verdict),
        *(html.escape(text) for text in (*numbers, *amounts, p, row.study, f"{row.dataset}, {row.model}")),
    ]


def _html(head: Sequence[str], rows: list[list[str]], kind: str) -> str:
    """A table that scrolls by itself where a page is narrow, with the keyboard too. rows: of HTML"""
    heads = "".join(f"<th>{name}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    table = f'<table class="{kind}"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="scroll" tabindex="0">{table}</div>'
