"""The overview of a scale's results: what its notebook holds in its hands.

A study with a notebook of its own is summed up here and linked; of one without, this is the report.
"""

import html
from collections.abc import Iterator
from pathlib import Path

from IPython.display import HTML, Markdown, display

from frugal.report import reported as claims
from frugal.report import sentences as findings
from frugal.report import status, tradeoff
from frugal.report.costs import COSTS
from frugal.report.display import figure, table
from frugal.report.headline import headline_table, read_reported
from frugal.report.leaderboard import leaderboard
from frugal.report.links import Links
from frugal.report.load import Comparison, comparisons
from frugal.study import Study, read_studies


class Overview:
    """All studies of a scale; every method shows a part of the page."""

    def __init__(self, studies: str, results: str, page: str, figures: str, reported: str, reports: list[str]) -> None:
        """studies: a JSON list or the path of one; results: folder of the scale; page: where the page will lie; figures:
        folder for them; reported: folder of the authors' figures; reports: the studies that have a report of their own.

        Raises FrugalError where a table is missing.
        """
        self.studies = read_studies(studies)
        folder = Path(results)
        self.compared = {study.name: comparisons(study, folder / "tables" / study.name) for study in self.studies}
        self.links, self.figures = Links(folder, Path(page), reports), Path(figures)
        files = {study.name: Path(reported) / f"{study.name}.csv" for study in self.studies}
        self.reported = {name: read_reported(path) for name, path in files.items() if path.is_file()}

    @property
    def _all(self) -> list[Comparison]:
        return [one for study in self.studies for one in self.compared[study.name]]

    def opening(self) -> None:
        """What these results are: scale, studies, runs."""
        count = sum(len(one.runs) for one in self._all)
        studies = f"{len(self.studies)} {'study' if len(self.studies) == 1 else 'studies'}"
        scales = ", ".join(sorted({study.scale for study in self.studies}))
        display(Markdown(f"Results at the scale **{scales}**: {count} runs in {studies}."))
        few = {text for study in self.studies if (text := findings.few_seeds(study))}
        for text in sorted(few):
            display(HTML(f'<div class="remark">{_paragraph(text)}</div>'))

    def answers(self) -> None:
        """Each study's question, and its answer in short."""
        for study in self.studies:
            display(HTML(f'<h3 id="{study.name}-answer">{html.escape(study.title)}</h3>'))
            said = "\n\n".join(f"> {findings.headline(one)}" for one in self.compared[study.name])
            display(Markdown(f"*{study.question}*\n\n{said}"))
            display(HTML(self.links.behind(study)))

    def leaderboard(self) -> None:
        """Every strategy of every study, to be sorted."""
        display(HTML(leaderboard(self._all, self.links)))

    def tradeoffs(self) -> None:
        """Accuracy against what each study is about saving; of studies without a report, against every cost, and their table."""
        for study in self.studies:
            own = study.name in self.links.reported
            display(HTML(f'<h3 id="{study.name}">{html.escape(study.title)}</h3>'))
            for one in self.compared[study.name]:
                self._tradeoff(one, [study.cost] if own else list(tradeoff.EACH))
                if not own:
                    display(HTML(table(headline_table(one))))
                    display(Markdown(findings.verdicts(one)))
                    display(Markdown(findings.against_controls(one)))

    def _tradeoff(self, one: Comparison, costs: list[str]) -> None:
        unknown = []
        for cost in costs:
            if one.summary[f"{cost}_mean"].isna().all():
                unknown.append(COSTS[cost].axis)
                continue
            where = f"{one.dataset}{' (generated)' * one.generated}, {one.model}"
            caption = f"{where}: test accuracy against {COSTS[cost].axis}; means over seeds."
            draw = tradeoff.EACH.get(cost, tradeoff.tradeoff)
            display(figure(draw, one, self.figures, f"{one.study.name}-{cost.replace('_', '-')}", caption))
        if unknown:
            why = ", ".join(sorted(set(one.runs["energy_source"])))
            display(Markdown(f"Not drawn: {findings.listed(unknown)} ({why})."))

    def claims(self) -> None:
        """What the authors reported beside what was measured."""
        rows = claims.claims(self._all, self.reported, self.links)
        display(HTML(table(rows)) if len(rows) else Markdown("None of these studies repeats a published one."))

    def status(self) -> None:
        """What became of the runs, the doubts about them, and the record of each."""
        display(HTML(table(status.status(self.studies, self.compared, self.links))))
        remarks = status.remarks(self.studies, self.compared)
        display(HTML(remarks) if remarks else Markdown("The audit found nothing to doubt."))
        for study, one in self._each():
            where = f"{study.name}: {one.dataset}, {one.model}"
            told = f"{len(one.runs)} runs: {len(one.study.strategies)} strategies, {len(one.study.seeds)} seeds"
            fidelity = " at the strategy's own fidelity" if one.fidelity_differs else ""
            remark = f'<p class="remark">Test accuracy{fidelity}; the links lead to the record of each run.</p>'
            body = status.runs(one, self.links) + remark
            display(HTML(f"<details><summary>{html.escape(f'{where} — {told}')}</summary>{body}</details>"))

    def _each(self) -> Iterator[tuple[Study, Comparison]]:
        for study in self.studies:
            for one in self.compared[study.name]:
                yield study, one


def _paragraph(text: str) -> str:
    """Bold markdown as HTML, for a sentence."""
    parts = text.split("**")
    return "".join(f"<b>{part}</b>" if place % 2 else html.escape(part) for place, part in enumerate(parts))
