"""Status page of a plan: the facts of `make status` as one web page, which loads itself again while runs go on."""

import html
import os
from pathlib import Path
from urllib.parse import quote

from frugal.atomic import write_text
from frugal.plan_status import PlanStatus, duration
from frugal.status import STATES, RunStatus
from frugal.webpage import document

TITLE = "Runs under"
REFRESH = 5  # seconds
SHOWN = 50  # runs of one state; the rest are counted


def write_page(state: PlanStatus, page: Path, watched: bool) -> None:
    """Write the page, whole or not at all. watched: whether it will be written again. Raises FrugalError where it can't be."""
    write_text(page, page_of(state, page, watched))


def page_of(state: PlanStatus, page: Path, watched: bool) -> str:
    """The page as HTML. page: where it will lie, for its links; it stops loading itself again when nothing goes on any more."""
    live = watched and not state.over
    at = state.at.strftime("%Y-%m-%d %H:%M:%S UTC")
    again = f"; this page loads itself again every {REFRESH} seconds" if live else "; this page is not written again"
    parts = [
        f"<p><strong>{html.escape(state.time_left())}</strong></p>",
        _bar("all", state.runs),
        f'<p class="remark">As of {at}{again}. Time left: estimated from what finished runs took, '
        "without tables and pages.</p>",
        *(f'<p class="note">{html.escape(text)}</p>' for text in state.due),
        "<h2>Studies</h2>",
        *(_bar(name, runs) for name, runs in state.studies.items()),
        _running([run for run in state.runs if run.state == "running"]),
        *(_ended(state, kind, page) for kind in ("failed", "stopped")),
    ]
    return document(f"{TITLE} {state.results}", "\n".join(filter(None, parts)), REFRESH if live else None)


def counts(runs: list[RunStatus]) -> str:
    """How many runs are in which state, in words."""
    found = {state: sum(run.state == state for run in runs) for state in STATES}
    others = ", ".join(f"{count:,} {state}" for state, count in found.items() if count and state != "done")
    return f"{found['done']:,} of {len(runs):,} done" + (f", {others}" if others else "")


def _bar(name: str, runs: list[RunStatus]) -> str:
    done, told = sum(run.state == "done" for run in runs), html.escape(counts(runs))
    label = html.escape(f"{name}: {done} of {len(runs)} runs done", quote=True)
    bar = f'<progress value="{done}" max="{max(len(runs), 1)}" aria-label="{label}"></progress>'
    return f'<div class="bar"><span><strong>{html.escape(name)}</strong> {told}</span>{bar}</div>'


def _running(runs: list[RunStatus]) -> str:
    rows = []
    for run in runs[:SHOWN]:
        share = run.epochs_done / run.epochs if run.epochs_done is not None and run.epochs else 0
        label = html.escape(f"{run.path}: {100 * share:.0f} % of its epochs", quote=True)
        bar = f'<progress value="{share:.4f}" max="1" aria-label="{label}"></progress>'
        rows.append(f'<div class="bar"><span>{_name(run)} {html.escape(epoch_of(run))}</span>{bar}</div>')
    return "\n".join([f"<h2>Running: {len(runs)}</h2>", *rows, _more(runs)]) if runs else ""


def _ended(state: PlanStatus, kind: str, page: Path) -> str:
    runs, items = [run for run in state.runs if run.state == kind], []
    for run in runs[:SHOWN]:
        log = Path(state.results, run.path, "train.log")
        address = html.escape(quote(Path(os.path.relpath(log, page.parent)).as_posix()), quote=True)
        why = html.escape(run.why.removesuffix(f"; {log}"))
        items.append(f'<li>{_name(run)} {why} <a href="{address}">log</a></li>')
    return f"<h2>{kind.capitalize()}: {len(runs)}</h2><ul>{''.join(items)}</ul>{_more(runs)}" if runs else ""


def _more(runs: list[RunStatus]) -> str:
    return f'<p class="remark">and {len(runs) - SHOWN} more</p>' if len(runs) > SHOWN else ""


def _name(run: RunStatus) -> str:
    return f'<code class="path">{html.escape(run.path.removeprefix("runs/"))}</code>'


def epoch_of(run: RunStatus) -> str:
    """How far a running run is, in words."""
    if run.epochs_done is None or run.epochs is None:
        return "starting"
    left = "time left unknown yet" if run.seconds_left is None else f"{duration(run.seconds_left)} left"
    return f"epoch {min(int(run.epochs_done) + 1, run.epochs)} of {run.epochs}, {left}"
