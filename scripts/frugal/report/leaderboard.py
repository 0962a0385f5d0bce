"""The leaderboard: every strategy of every study in one table, each row with what is behind it.

The rows are HTML. What is behind them is JSON, of which templates/board.js makes a row's details when it is opened: as HTML it
would be two thirds of a page of many runs. Without a script the tables, which are linked, hold the same.
"""

import html
import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from IPython.display import HTML

from frugal.report.budget_curve import CURRENCIES, currency
from frugal.report.caveats import on_whole_images, seconds_in_doubt
from frugal.report.costs import COSTS
from frugal.report.exchange_rate import SAVES, UNDECIDED, WASTES
from frugal.report.findings import strategies_of
from frugal.report.links import RECORD, Links
from frugal.report.load import Comparison
from frugal.report.repeat import UNKNOWN
from frugal.report.reported import brief, whole_percent
from frugal.report.statistics import BASELINE, BETTER, EQUAL, WORSE
from frugal.report.words import exchange, listed, points
from frugal.study import Study, merged
from frugal.webpage import coloured_verdict

SCRIPT = Path(__file__).parent / "templates" / "board.js"
SHOWN = ("flops_executed", "cpu_seconds")  # costs whose columns are shown from the start, on a wide page
SOME = 5  # remarks of one kind
NARROW = "(max-width: 640px)"  # where rows are cards, as in templates/style.css
MOST = 600  # rows; with more, each ground shows its best ones and links the table of all
RANK = {BETTER: 4, EQUAL: 3, BASELINE: 2, UNDECIDED: 1, WORSE: 0}
HEADS = (
    "strategy",
    "exchange rate",
    "verdict",
    "accuracy, %",
    "difference, points",
    "accuracy verdict",
    "seeds",
    "data, net",
    "study",
)
WORDS = {"verdict", "accuracy verdict", "data, net", "study"}  # columns of text, which begin at the left
FACTS = ("idea", "exchange rate", "records", "settings", "control", "caveat", "doubts", "repeat")  # behind a row


class Leaderboard:
    """The table, as HTML."""

    def __init__(self, compared: Sequence[Comparison], links: Links) -> None:
        self.compared, self.links = compared, links
        self.costs = [cost for cost in CURRENCIES if any(_measured(one, cost) for one in compared)]
        paid = {currency(one.study) for one in compared}
        self.paid = paid.pop() if len(paid) == 1 else None  # the cost of all studies, whose rate stands in front alone
        count = sum(len(one.summary) for one in compared)
        self.most = max(2, MOST // max(1, len(compared))) if count > MOST else count
        self.shown = {(one.study.name, one.dataset, one.model): _best(one, self.most) for one in compared}
        self.left_out = count - sum(map(len, self.shown.values()))

    @property
    def rows(self) -> dict[tuple[str, str, str, str], str]:
        """The address in the page of each row, by study, data set, model and strategy."""
        return {
            (*place, strategy): "#" + quote("/".join((*place, strategy)))
            for place, rows in self.shown.items()
            for strategy in rows["strategy"]
        }

    def html(self) -> HTML:
        """The controls and the table, the highest exchange rate first."""
        groups = "".join(
            f'<th scope="colgroup" colspan="{len(self._told_of(cost))}" data-cost="{cost}">{COSTS[cost].noun}</th>'
            for cost in self.costs
        )
        words = ' class="words"'
        heads = [
            f"{name} in {COSTS[self.paid].noun}" if self.paid and name == "exchange rate" else name for name in HEADS
        ]
        named = "".join(f'<th scope="col"{words * (name in WORDS)}>{name}</th>' for name in heads)
        of_costs = "".join(
            f'<th scope="col" data-cost="{cost}">{name}</th>' for cost in self.costs for name in self._told_of(cost)
        )
        top = f'<tr class="groups"><td colspan="{len(HEADS)}"></td>{groups}</tr>'
        body = "".join(map(self._rows_of, self.compared))
        table = f'<table class="sortable"><thead>{top}<tr>{named}{of_costs}</tr></thead>\n<tbody>{body}</tbody></table>'
        behind = {"names": FACTS, "files": RECORD, "rows": self._behind_all()}
        data = json.dumps(behind, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
        script = SCRIPT.read_text(encoding="utf-8")
        scroll = f'<div class="scroll" tabindex="0" role="region" aria-label="leaderboard">{table}</div>'
        return HTML(
            f'<div class="board">{self._style()}{self._controls()}{scroll}{self._remarks()}\n'
            f'<script type="application/json">{data}</script><script>{script}</script></div>'
        )

    def _told_of(self, cost: str) -> tuple[str, ...]:
        """Columns of a cost."""
        return ("saved",) if cost == self.paid else ("saved", "exchange rate")

    def _style(self) -> str:
        """What holds of all cells of a column, told once: text begins at the left, and a card of a narrow page names them."""
        on_cards = {"saved": "{} saved", "exchange rate": "rate in {}"}
        of_costs = (on_cards[name].format(COSTS[cost].noun) for cost in self.costs for name in self._told_of(cost))
        names = [*HEADS, *of_costs]
        cell = ".board tbody tr:not(.more) > td:nth-child({})".format
        words = ", ".join(cell(place) for place, name in enumerate(names, 1) if name in WORDS)
        cards = " ".join(
            f'{cell(place)}::before {{ content: "{name}"; }}' for place, name in enumerate(names, 1) if place > 1
        )
        return f"<style>{words} {{ text-align: left; }} @media {NARROW} {{ {cards} }}</style>"

    def _controls(self) -> str:
        grounds = list(dict.fromkeys(_where(one) for one in self.compared))
        families = list(dict.fromkeys(title for one in self.compared for title in one.study.panels))
        selects = "".join(
            f'<label>{label} <select name="{name}">{_options(values)}</select></label>'
            for name, label, values in (
                ("ground", "data, net", grounds),
                ("family", "family", families),
                ("verdict", "verdict", [SAVES, UNDECIDED, WASTES]),
            )
        )
        boxes = "".join(
            f'<label><input type="checkbox" value="{cost}"{" checked" * (cost in SHOWN)}> {COSTS[cost].noun}</label>'
            for cost in self.costs
        )
        search = '<label>search <input type="search" name="search" placeholder="name or idea"></label>'
        return (
            f'<form class="controls" hidden>{search}{selects}'
            f"<fieldset><legend>costs</legend>{boxes}</fieldset><output></output></form>"
        )

    def _remarks(self) -> str:
        unknown = [
            COSTS[cost].noun
            for cost in CURRENCIES
            if all(one.summary[f"{cost}_mean"].isna().all() for one in self.compared)
        ]
        said = [f"Not measured in any run: {listed(unknown)}."] if unknown else []
        doubted = [f"{_where(one)}: {text}" for one in self.compared if (text := seconds_in_doubt(one))]
        said += [html.escape(text).replace("**", "") for text in doubted[:SOME]]
        if self.left_out:
            tables = [self.links.to_table(one.study.name, "summary.csv") for one in self.compared]
            said.append(
                f"Of each data set and net the {self.most} strategies with the highest exchange rates are shown; "
                f"{self.left_out} more are in {', '.join(dict.fromkeys(tables))}."
            )
        closed = "Without scripts no row opens: what is behind them is in the tables that are linked below."
        told = "".join(f'<p class="remark">{one}</p>' for one in said)
        return f'{told}<noscript><p class="remark">{closed}</p></noscript>'

    def _rows_of(self, one: Comparison) -> str:
        found, paid = [], currency(one.study)
        place = (one.study.name, one.dataset, one.model)
        for _, row in self.shown[place].iterrows():
            name = row["strategy"]
            baseline = name == one.study.baseline
            tag = " <small>control</small>" * (name in one.study.controls)
            difference = row["test_accuracy_difference_mean"]
            cells = [
                f"<td><code>{html.escape(name)}</code>{tag}</td>",
                *_exchanged(row, paid, baseline, named=self.paid is None),
                _cell(_with_interval(row), row["test_accuracy_mean"]),
                _cell("" if baseline else points(difference) if pd.notna(difference) else "–", difference),
                _cell(coloured_verdict(row["verdict"], row["verdict_reason"], short=True), RANK[row["verdict"]]),
                f"<td>{_seeds(row, one)}</td>",
                f"<td>{html.escape(_where(one))}</td>",
                f"<td>{self.links.to_study(one.study.name)}</td>",
            ]
            for cost in self.costs:
                saved, rate = row[f"{cost}_saved_mean"], row[f"{cost}_exchange_rate"]
                told = {"saved": (whole_percent(saved), saved), "exchange rate": (_rate(row, cost, baseline), rate)}
                cells += [_cell(*told[name]) for name in self._told_of(cost)]
            address = html.escape("/".join((*place, name)), quote=True)
            found.append(f'<tr id="{address}">{"".join(cells)}</tr>\n')
        return "".join(found)

    def _behind_all(self) -> list[list]:
        """Of each row, in their order: its family, and what it opens to."""
        return [
            [one.study.panel_of.get(row["strategy"], ""), self._behind(one, row)]
            for one in self.compared
            for _, row in self.shown[one.study.name, one.dataset, one.model].iterrows()
        ]

    def _behind(self, one: Comparison, row: pd.Series) -> list:
        """What a row opens to, in the order of FACTS, each as HTML but the records; "" where there is nothing to say."""
        study, name = one.study, row["strategy"]
        seeds = list(one.runs.loc[one.runs["strategy"] == name, "seed"])
        settings = brief(study.parameters.get(name, {}))
        own = merged(study.pair(one.dataset, one.model).recipe, study.recipes.get(name, {}))
        if own:
            settings = "; ".join(filter(None, [settings, f"of the recipe {brief(own)}"]))
        command = self.links.command(study, one.dataset, one.model, name, seeds)
        return [
            html.escape(study.labels.get(name, "")),
            html.escape(_reason(row)),
            [self._records(one, each) for each in (name, *_beside(study, name))],
            html.escape(settings),
            _control(row, study),
            on_whole_images(row),
            _doubts(one, name, row),
            f"<code>{html.escape(command)}</code>" if command else html.escape(UNKNOWN),
        ]

    def _records(self, one: Comparison, name: str) -> list:
        """Name, address of the records, and of each run its seed, accuracy in per cent, and files where some are missing."""
        runs = one.everything[one.everything["strategy"] == name]
        found = []
        for seed, accuracy in zip(runs["seed"], runs["test_accuracy"], strict=True):
            files = self.links.record(one.study, one.dataset, one.model, name, seed)
            told = "" if name in one.study.scoring else f"{100 * accuracy:.2f}"
            found.append([seed, told] if len(files) == len(RECORD) else [seed, told, files])
        return [name, self.links.to_records(one.study, one.dataset, one.model, name), found]


def _beside(study: Study, name: str) -> list[str]:
    """Runs that have no row of their own: the strategy's with other budgets, and the scoring runs that it uses."""
    used, before = [], study.follows.get(name)
    while before in study.scoring:
        used.append(before)
        before = study.follows.get(before)
    return [run for run in study.budgets.get(name, {}) if run != name] + used


def _seeds(row: pd.Series, one: Comparison) -> str:
    """How many seeds a strategy has, and of how many where some are missing."""
    planned = len(one.study.seeds_of(one.dataset, one.model, row["strategy"]))
    return f"{row['seeds']}" + f" <small>of {planned}</small>" * (row["seeds"] < planned)


def _measured(one: Comparison, cost: str) -> bool:
    return bool(one.summary[f"{cost}_saved_mean"].notna().any())


def _where(one: Comparison) -> str:
    return f"{one.dataset}, {one.model}"


def _best(one: Comparison, most: int) -> pd.DataFrame:
    """A comparison's rows by falling exchange rate, the baseline first; at most so many."""
    by = f"{currency(one.study)}_exchange_rate"
    own = one.summary["strategy"] == one.study.baseline
    others = one.summary[~own].sort_values([by, "test_accuracy_mean"], ascending=False)
    return pd.concat([one.summary[own], others.head(most - 1)])


def _options(values: Sequence[str]) -> str:
    return '<option value="">all</option>' + "".join(f"<option>{html.escape(value)}</option>" for value in values)


def _cell(shown: str, value: float) -> str:
    """A cell with what it is sorted by; unknown values go last."""
    return f'<td data-by="{"" if pd.isna(value) else f"{value:.6g}"}">{shown}</td>'


def _exchanged(row: pd.Series, paid: str, baseline: bool, named: bool) -> list[str]:
    """The exchange rate in what the study is about, with its name where it isn't in the heading, and whether that saves."""
    rate, verdict = row[f"{paid}_exchange_rate"], row[f"{paid}_exchange_verdict"]
    known = not baseline and pd.notna(rate)
    noun = f" <small>in {COSTS[paid].noun}</small>" if named else ""
    order = {SAVES: 2, UNDECIDED: 1, WASTES: 0}[verdict] if known else float("nan")
    pill = coloured_verdict(verdict, row["exchange_reason"], short=True) if known else ""
    return [
        _cell(f"<span>{_rate(row, paid, baseline)}{noun}</span>" if known else _rate(row, paid, baseline), rate),
        _cell(pill, order),
    ]


def _rate(row: pd.Series, cost: str, baseline: bool) -> str:
    return "" if baseline else html.escape(exchange(row, cost))


def _with_interval(row: pd.Series) -> str:
    mean, low, high = (100 * row[f"test_accuracy_{part}"] for part in ("mean", "low", "high"))
    return f"<span>{mean:.2f}" + (f"<small> ± {(high - low) / 2:.2f}</small>" if pd.notna(low) else "") + "</span>"


def _reason(row: pd.Series) -> str:
    """Why an exchange rate is missing or a bound; else the matched budget."""
    matched = row["matched_budget"]
    told = f"the plain net reaches this accuracy in {matched:.2f} of its epochs" if pd.notna(matched) else ""
    reason = row["exchange_reason"]
    return "; ".join(filter(None, [told, reason if isinstance(reason, str) else ""]))


def _control(row: pd.Series, study: Study) -> str:
    if not isinstance(row["control"], str):
        known = [f"<code>{html.escape(name)}</code>" for name in study.absent.get(row["strategy"], [])]
        return "none of equal cost" + (f" was trained; the study knows {listed(known)}" if known else "")
    low, high = row["control_difference_low"], row["control_difference_high"]
    between = f" ({points(low)} to {points(high)})" if pd.notna(low) else ""
    told = f"{points(row['control_difference_mean'])} points{between}: {row['control_verdict']}"
    return f"against <code>{html.escape(row['control'])}</code> {html.escape(told)}"


def _doubts(one: Comparison, name: str, row: pd.Series) -> str:
    """What the audit found of a strategy's runs, each kind once."""
    mine = one.audit[one.audit["runs"].map(lambda runs: name in strategies_of(runs)).astype(bool)]
    kinds = ", ".join(html.escape(f"{kind} ({count})") for kind, count in mine["finding"].value_counts().items())
    doubted = f"{row['doubted']} of {row['seeds']} runs are doubted" if row["doubted"] else ""
    return "; ".join(filter(None, [doubted, kinds])) or "none found by the audit"
