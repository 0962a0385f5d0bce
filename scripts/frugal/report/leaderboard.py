"""The leaderboard: every strategy of every study in one table, each row with what is behind it.

Without a script all rows and all that is behind them are there to be read; templates/board.js sorts, filters and folds.
"""

import html
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from IPython.display import HTML

from frugal.report.budget_curve import CURRENCIES, currency
from frugal.report.costs import COSTS
from frugal.report.exchange_rate import SAVES, UNDECIDED, WASTES
from frugal.report.links import Links
from frugal.report.load import Comparison
from frugal.report.reported import brief, whole_percent
from frugal.report.sentences import exchange, listed, on_whole_images, points, seconds_in_doubt
from frugal.study import Study, merged

SCRIPT = Path(__file__).parent / "templates" / "board.js"
SHOWN = ("flops_executed", "train_seconds")  # costs whose columns are shown from the start, on a wide page
SOME = 5  # remarks of one kind
MOST = 600  # rows; with more, each ground shows its best ones and links the table of all
RANK = {"better": 4, "equal within the margin": 3, "baseline": 2, "undecided": 1, "worse": 0}
WORDS = ' class="words"'


class Leaderboard:
    """The table, as HTML."""

    def __init__(self, compared: Sequence[Comparison], links: Links) -> None:
        self.compared, self.links = compared, links
        self.costs = [cost for cost in CURRENCIES if any(_measured(one, cost) for one in compared)]
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
            f'<th scope="colgroup" colspan="2" data-cost="{cost}">{COSTS[cost].noun}</th>' for cost in self.costs
        )
        heads = [
            "strategy",
            "exchange rate",
            "verdict",
            "accuracy, %",
            "points",
            "accuracy is",
            "seeds",
            "data, net",
            "study",
        ]
        words = {"verdict", "accuracy is", "data, net", "study"}
        named = "".join(f'<th scope="col"{WORDS if name in words else ""}>{name}</th>' for name in heads)
        of_costs = "".join(
            f'<th scope="col" data-cost="{cost}">{name}</th>'
            for cost in self.costs
            for name in ("saved", "exchange rate")
        )
        top = f'<tr class="groups"><td colspan="{len(heads)}"></td>{groups}</tr>'
        body = "".join(self._rows_of(one, len(heads) + 2 * len(self.costs)) for one in self.compared)
        table = f'<table class="sortable"><thead>{top}<tr>{named}{of_costs}</tr></thead>\n<tbody>{body}</tbody></table>'
        script = SCRIPT.read_text(encoding="utf-8")
        scroll = f'<div class="scroll" tabindex="0" role="region" aria-label="leaderboard">{table}</div>'
        return HTML(f'<div class="board">{self._controls()}{scroll}{self._remarks()}\n<script>{script}</script></div>')

    def _controls(self) -> str:
        grounds = list(dict.fromkeys(_where(one) for one in self.compared))
        families = list(dict.fromkeys(title for one in self.compared for title in one.study.panels))
        selects = "".join(
            f'<label>{name} <select name="{name}">{_options(values)}</select></label>'
            for name, values in (("ground", grounds), ("family", families), ("verdict", [SAVES, UNDECIDED, WASTES]))
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
        unknown = [COSTS[cost].noun for cost in CURRENCIES if cost not in self.costs]
        said = [f"Not measured in any run: {listed(unknown)}."] if unknown else []
        doubted = [f"{_where(one)}: {text}" for one in self.compared if (text := seconds_in_doubt(one))]
        said += [html.escape(text).replace("**", "") for text in doubted[:SOME]]
        if self.left_out:
            tables = [self.links.to_table(one.study.name, "summary.csv") for one in self.compared]
            said.append(
                f"Of each ground the {self.most} strategies with the highest exchange rates are shown; "
                f"{self.left_out} more are in {', '.join(dict.fromkeys(tables))}."
            )
        return "".join(f'<p class="remark">{one}</p>' for one in said)

    def _rows_of(self, one: Comparison, width: int) -> str:
        found, paid = [], currency(one.study)
        family = one.study.panel_of
        place = (one.study.name, one.dataset, one.model)
        for _, row in self.shown[place].iterrows():
            name = row["strategy"]
            baseline = name == one.study.baseline
            tag = " <small>control</small>" * (name in one.study.controls)
            difference = row["test_accuracy_difference_mean"]
            cells = [
                _cell("strategy", f"<code>{html.escape(name)}</code>{tag}", name),
                *_exchanged(row, paid, baseline),
                _cell("accuracy, %", _with_interval(row), row["test_accuracy_mean"]),
                _cell("points", "" if baseline else points(difference) if pd.notna(difference) else "–", difference),
                _cell("accuracy is", _pill(row["verdict"], row["verdict_reason"]), RANK[row["verdict"]], WORDS),
                _cell("seeds", str(row["seeds"]), row["seeds"]),
                _cell("data, net", html.escape(_where(one)), _where(one), WORDS),
                _cell("study", self.links.to_study(one.study.name), one.study.name, WORDS),
            ]
            for cost in self.costs:
                noun, own = COSTS[cost].noun, f' data-cost="{cost}"'
                cells.append(
                    _cell(f"{noun} saved", whole_percent(row[f"{cost}_saved_mean"]), row[f"{cost}_saved_mean"], own)
                )
                cells.append(_cell(f"rate in {noun}", _rate(row, cost, baseline), row[f"{cost}_exchange_rate"], own))
            verdict = row[f"{paid}_exchange_verdict"] if pd.notna(row[f"{paid}_exchange_rate"]) else ""
            about = {
                "id": "/".join((*place, name)),
                "data-ground": _where(one),
                "data-family": family.get(name, ""),
                "data-verdict": verdict,
            }
            told = " ".join(f'{key}="{html.escape(value, quote=True)}"' for key, value in about.items())
            more = (
                f'id="{html.escape(about["id"], quote=True)}/more"><td colspan="{width}">{self._behind(one, row)}</td>'
            )
            found.append(f'<tr {told}>{"".join(cells)}</tr>\n<tr class="more" {more}</tr>\n')
        return "".join(found)

    def _behind(self, one: Comparison, row: pd.Series) -> str:
        """What a row opens to: the idea, the records of its seeds, settings, control, doubts, and how to repeat it."""
        study, name = one.study, row["strategy"]
        runs = one.runs[one.runs["strategy"] == name]
        seeds = [
            f"seed {run['seed']}: {100 * run['test_accuracy']:.2f} % "
            f"({self.links.to_record(study, one.dataset, one.model, name, run['seed'])})"
            for _, run in runs.iterrows()
        ]
        settings = brief(study.parameters.get(name, {}))
        own = merged(study.pair(one.dataset, one.model).recipe, study.recipes.get(name, {}))
        if own:
            settings = "; ".join(filter(None, [settings, f"of the recipe {brief(own)}"]))
        seeds += [self._of_others(one, other) for other in self._beside(study, name)]
        facts = {
            "idea": html.escape(study.labels.get(name, "")),
            "exchange rate": html.escape(_reason(row)),
            "records": "<br>".join(seeds),
            "settings": html.escape(settings),
            "control": _control(row),
            "caveat": on_whole_images(row).replace("**", ""),
            "doubts": _doubts(one, name, row),
            "repeat": f"<code>{html.escape(self.links.command(study, one.dataset, one.model, name, list(runs['seed'])))}</code>",
        }
        told = "".join(f'<dt>{key}</dt><dd data-of="{key}">{value}</dd>' for key, value in facts.items() if value)
        return f"<dl>{told}</dl>"

    def _beside(self, study: Study, name: str) -> list[str]:
        """Runs that have no row of their own: the strategy's with other budgets, and the scoring runs that it uses."""
        used, before = [], study.follows.get(name)
        while before in study.scoring:
            used.append(before)
            before = study.follows.get(before)
        return [run for run in study.budgets.get(name, {}) if run != name] + used

    def _of_others(self, one: Comparison, name: str) -> str:
        runs = one.everything[one.everything["strategy"] == name]
        records = ", ".join(
            f"{seed}: {self.links.to_record(one.study, one.dataset, one.model, name, seed)}" for seed in runs["seed"]
        )
        mean = f"{100 * runs['test_accuracy'].mean():.2f} %, " if len(runs) and name not in one.study.scoring else ""
        return f"<code>{html.escape(name)}</code>: {mean}seeds {records or 'none'}"


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


def _cell(head: str, shown: str, value: object, more: str = "") -> str:
    """A cell with its heading, for a narrow page, and what it is sorted by; unknown values go last."""
    by = html.escape(value, quote=True) if isinstance(value, str) else "" if pd.isna(value) else f"{value:.6g}"
    return f'<td data-head="{html.escape(head, quote=True)}" data-by="{by}"{more}>{shown}</td>'


def _exchanged(row: pd.Series, paid: str, baseline: bool) -> list[str]:
    """The exchange rate in what the study is about, and whether that saves."""
    rate, verdict = row[f"{paid}_exchange_rate"], row[f"{paid}_exchange_verdict"]
    noun = f" <small>in {COSTS[paid].noun}</small>"
    known = not baseline and pd.notna(rate)
    pill = _pill(verdict, row["exchange_reason"]) if known else ""
    shown = _rate(row, paid, baseline) + noun * known
    return [
        _cell("exchange rate", shown, rate),
        _cell(
            "verdict",
            pill,
            {SAVES: 2, UNDECIDED: 1, WASTES: 0}.get(verdict, float("nan")) if known else float("nan"),
            WORDS,
        ),
    ]


def _rate(row: pd.Series, cost: str, baseline: bool) -> str:
    return "" if baseline else html.escape(exchange(row, cost))


def _pill(verdict: str, reason: object) -> str:
    """A verdict as a coloured word; its reason, where there is one, shows on hovering."""
    told = html.escape(f"{verdict}: {reason}" if isinstance(reason, str) else verdict, quote=True)
    word = verdict.split()[0]
    return f'<span class="verdict {word}" title="{told}">{word}</span>'


def _with_interval(row: pd.Series) -> str:
    mean, low, high = (100 * row[f"test_accuracy_{part}"] for part in ("mean", "low", "high"))
    return f"<span>{mean:.2f}" + (f"<small> ± {(high - low) / 2:.2f}</small>" if pd.notna(low) else "") + "</span>"


def _reason(row: pd.Series) -> str:
    """Why an exchange rate is missing or a bound; else the matched budget."""
    matched = row["matched_budget"]
    told = f"the plain net reaches this accuracy in {matched:.2f} of its epochs" if pd.notna(matched) else ""
    reason = row["exchange_reason"]
    return "; ".join(filter(None, [told, reason if isinstance(reason, str) else ""]))


def _control(row: pd.Series) -> str:
    if not isinstance(row["control"], str):
        return "none of equal cost"
    low, high = row["control_difference_low"], row["control_difference_high"]
    between = f" ({points(low)} to {points(high)})" if pd.notna(low) else ""
    told = f"{points(row['control_difference_mean'])} points{between}: {row['control_verdict']}"
    return f"against <code>{html.escape(row['control'])}</code> {html.escape(told)}"


def _doubts(one: Comparison, name: str, row: pd.Series) -> str:
    """What the audit found of a strategy's runs, each kind once."""
    mine = one.audit[one.audit["runs"].fillna("").str.contains(f"{name}/seed-", regex=False)]
    kinds = ", ".join(html.escape(f"{kind} ({count})") for kind, count in mine["finding"].value_counts().items())
    doubted = f"{row['doubted']} of {row['seeds']} runs are doubted" if row["doubted"] else ""
    return "; ".join(filter(None, [doubted, kinds])) or "none found by the audit"
