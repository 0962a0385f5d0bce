"""The chart to explore: accuracy over cost of every strategy, with the curve of the plain net trained for less.

Vega-Lite, written with Altair. In a page, ground, cost and family are chosen, numbers show on hovering, and a click leads to the
row of the leaderboard. Drawn without a browser, the same chart stands there before, in print, and where no script runs.
"""

import html
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import vl_convert

from frugal.atomic import write_bytes
from frugal.report import VEGA_LITE, VEGA_LITE_VERSION
from frugal.report.budget_curve import CURRENCIES, currency
from frugal.report.costs import COSTS
from frugal.report.exchange_rate import SAVES, UNDECIDED, WASTES
from frugal.report.load import Comparison
from frugal.report.machines import ELSEWHERE, OF_A_MACHINE
from frugal.report.theme import BAD, FAINT, GOOD, HAIR, INK, OPEN, of_the_page
from frugal.report.words import exchange, percent, points

MOST_SEEDS = 1000  # single runs in one chart; beyond, only means are drawn
LABELLED = 4  # strategies of a ground that are named in the chart: those that save most, or without one the best
LONGEST = 150  # a name in the chart, in CSS pixels; beyond, it is cut
BASELINE, UNRATED, ALL = "the plain net", "no exchange rate", "all"
KINDS = {  # of a point: its colour, and a shape for those to whom colours say nothing
    SAVES: (GOOD, "triangle-up"),
    UNDECIDED: (OPEN, "circle"),
    WASTES: (BAD, "triangle-down"),
    UNRATED: (FAINT, "square"),
    BASELINE: (INK, "diamond"),
}
NAME, WIDTH, HEIGHT = "explorer", 600, 340
TOLD = {
    "strategy": "strategy",
    "idea": "idea",
    "reached": "test accuracy",
    "difference": "against the plain net",
    "spent": "spent",
    "rate": "exchange rate",
}


class Explorer:
    """The chart, as a notebook and as a page show it."""

    def __init__(
        self, compared: Sequence[Comparison], rows: Mapping[tuple[str, str, str, str], str], caption: str
    ) -> None:
        """rows: address in the page of each strategy that is to be drawn, by study, data set, model and strategy."""
        self.caption = caption
        costs = [cost for cost in CURRENCIES if any(one.summary[f"{cost}_mean"].gt(0).any() for one in compared)]
        strategies = pd.concat([_strategies(one, costs, rows) for one in compared], ignore_index=True)
        curves = pd.concat([_curve(one, costs) for one in compared], ignore_index=True)
        few = sum(len(one.runs) for one in compared) <= MOST_SEEDS
        seeds = pd.concat([_seeds(one, costs) for one in compared if few] or [strategies[:0]], ignore_index=True)
        grounds = list(dict.fromkeys(strategies["ground"]))
        floors = {ground: _floor(ground, strategies, curves) for ground in grounds}
        for frame in (strategies, curves, seeds):
            low = frame["ground"].map(floors).astype(float)
            frame["below"] = frame["accuracy"] < low
            frame["shown"] = frame["accuracy"].clip(lower=low)
            frame["ground"] = frame["ground"].map(grounds.index)  # a number: a page of many runs holds each name once
        first = currency(compared[0].study)
        self.chart = _chart(strategies, curves, seeds, grounds, costs, costs.index(first) if first in costs else 0)

    def save(self, folder: str | Path) -> "Explorer":
        """Write the chart as explorer.svg, .pdf and .png, as it is before anything is chosen."""
        svg, spec = self._svg, self.chart.to_json()
        for kind, image in (
            ("svg", svg.encode()),
            ("pdf", vl_convert.vegalite_to_pdf(spec, vl_version=VEGA_LITE_VERSION)),
            ("png", vl_convert.vegalite_to_png(spec, vl_version=VEGA_LITE_VERSION, scale=2)),
        ):
            write_bytes(Path(folder) / f"{NAME}.{kind}", image)
        return self

    @cached_property
    def _svg(self) -> str:
        drawn = vl_convert.vegalite_to_svg(of_the_page(self.chart.to_json()), vl_version=VEGA_LITE_VERSION)
        label = f'role="img" aria-label="{html.escape(self.caption, quote=True)}"'
        return drawn.replace("<svg ", f'<svg {label} style="width:100%;height:auto;max-width:{WIDTH + 80}px" ', 1)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        spec = json.loads(of_the_page(self.chart.to_json(indent=None)))
        bundle = {VEGA_LITE: spec, "image/svg+xml": self._svg, "text/plain": self.caption}
        return bundle, {"image/svg+xml": {"caption": self.caption, "name": NAME}}


def _ground(one: Comparison) -> str:
    return f"{one.study.name}: {one.dataset}, {one.model}"


def _strategies(one: Comparison, costs: Sequence[str], rows: Mapping[tuple[str, str, str, str], str]) -> pd.DataFrame:
    """A row per strategy; what depends on the cost stands in columns that end with the cost's place among `costs`."""
    study, found = one.study, []
    family = study.panel_of
    paid = currency(study)
    proposed = one.summary[~one.summary["strategy"].isin(study.controls)].set_index("strategy")
    saving = proposed[proposed[f"{paid}_exchange_verdict"] == SAVES]
    best = (saving if len(saving) else proposed)[f"{paid}_exchange_rate"].nlargest(LABELLED if len(saving) else 1)
    named = {*best.index, study.baseline}
    for _, row in one.summary.iterrows():
        name = row["strategy"]
        if (study.name, one.dataset, one.model, name) not in rows:
            continue
        mean, low, high = (round(100 * row[f"test_accuracy_{part}"], 3) for part in ("mean", "low", "high"))
        apart = points(row["test_accuracy_difference_mean"]) + " points"
        about = {
            "ground": _ground(one),
            "family": family.get(name, BASELINE),
            "strategy": name,
            "label": name if name in named else "",
            "idea": study.labels.get(name, ""),
            "control": name in study.controls,
            "accuracy": mean,
            "low": low if pd.notna(low) else mean,
            "high": high if pd.notna(high) else mean,
            "reached": f"{mean:.2f} %" + (f" ({low:.2f} to {high:.2f})" if pd.notna(low) else " (one seed)"),
            "difference": "–" if name == study.baseline else apart,
            "row": rows[study.name, one.dataset, one.model, name],
        }
        for place, cost in enumerate(costs):
            about |= {f"{key}{place}": value for key, value in _paid(row, cost, name == study.baseline).items()}
        found.append(about)
    return pd.DataFrame(found)


def _paid(row: pd.Series, cost: str, baseline: bool) -> dict[str, Any]:
    """What a strategy spent of a cost, and its exchange rate in it; x is null where the cost was not measured."""
    spent, less, rate = (row[f"{cost}_{part}"] for part in ("mean", "saved_mean", "exchange_rate"))
    if pd.isna(spent) or spent <= 0:
        where = " on the baseline's machine" if cost in OF_A_MACHINE else ""
        return {"x": None, "kind": UNRATED, "spent": f"not measured{where}", "rate": "–"}
    kind = row[f"{cost}_exchange_verdict"] if pd.notna(rate) else UNRATED
    saved = f", {percent(less)} less" if pd.notna(less) and less > 0 else ""
    return {
        "x": float(f"{spent:.5g}"),
        "kind": BASELINE if baseline else kind,
        "spent": f"{COSTS[cost].told(spent)}{saved}",
        "rate": "1, by definition" if baseline else f"{exchange(row, cost)}: {kind}",
    }


def _curve(one: Comparison, costs: Sequence[str]) -> pd.DataFrame:
    """A row per budget of the baseline."""
    mine = one.curve
    accuracy = 100 * mine["test_accuracy_mean"]
    told = mine["run"] + accuracy.map(": {:.2f} %".format)
    spent = {f"x{place}": mine[f"{cost}_mean"] for place, cost in enumerate(costs)}
    return pd.DataFrame({"ground": _ground(one), "accuracy": accuracy, "told": told.astype(object)} | spent)


def _seeds(one: Comparison, costs: Sequence[str]) -> pd.DataFrame:
    """A row per run."""
    family = one.study.panel_of
    about = {
        "ground": _ground(one),
        "family": one.runs["strategy"].map(family).fillna(BASELINE),
        "accuracy": (100 * one.runs["test_accuracy"]).round(3),
        "told": one.runs["strategy"] + ", seed " + one.runs["seed"].astype(str),
    }
    elsewhere = one.runs[ELSEWHERE]  # their seconds are no part of the means that they would be shown beside
    spent = {f"x{place}": one.runs[cost].mask(elsewhere & (cost in OF_A_MACHINE)) for place, cost in enumerate(costs)}
    return pd.DataFrame(about | spent)


def _floor(ground: str, strategies: pd.DataFrame, curves: pd.DataFrame) -> float:
    """The accuracy below which points stand at the edge: one bad strategy must not squeeze all others into a line."""
    here = strategies.loc[strategies["ground"] == ground, "accuracy"]
    line = curves.loc[curves["ground"] == ground, "accuracy"]
    usual = here.quantile(0.25) - 3 * (here.quantile(0.75) - here.quantile(0.25))
    return float(min([max(here.min(), usual), *line[:1].tolist(), here.max()]))


def _chart(
    strategies: pd.DataFrame,
    curves: pd.DataFrame,
    seeds: pd.DataFrame,
    grounds: Sequence[str],
    costs: Sequence[str],
    first: int,
) -> alt.LayerChart:
    families = [ALL, *(name for name in dict.fromkeys(strategies["family"]) if name != BASELINE)]
    nouns = [COSTS[cost].noun for cost in costs]
    by_number = {"options": list(range(len(grounds))), "labels": list(grounds)}
    ground = alt.param("ground", value=0, bind=alt.binding_select(name="data, net ", **by_number))
    by_number = {"options": list(range(len(costs))), "labels": nouns}
    cost = alt.param("cost", value=first, bind=alt.binding_select(name="cost ", **by_number))
    family = alt.param("family", value=ALL, bind=alt.binding_select(options=families, name="family "))
    controls = alt.param("controls", value=True, bind=alt.binding_checkbox(name="controls "))
    single = alt.param("seeds", value=False, bind=alt.binding_checkbox(name="single seeds "))
    hover = alt.selection_point("hover", on="pointerover", clear="pointerout", fields=["strategy"], empty=False)
    here, chosen = "datum.ground === ground && datum.x > 0", f"family === '{ALL}' || datum.family === family"
    in_sight = f"({chosen}) || datum.kind === '{BASELINE}'"
    in_cost = {name: f"datum['{name}' + cost]" for name in ("x", "kind", "spent", "rate")}

    x = (
        alt.X("x:Q")
        .scale(type="log", nice=False, padding=32)
        .axis(format="~s", tickCount=6, grid=False, labelOverlap="greedy")
        .title(None)
    )
    y = alt.Y("shown:Q").scale(zero=False, padding=14).title("test accuracy, %").axis(tickCount=6)
    strong, faint = alt.value(1), alt.value(0.15)

    line = alt.Chart(curves).transform_calculate(x=in_cost["x"]).transform_filter(here)
    drawn = line.mark_line(color=INK, strokeWidth=1.6).encode(x, y)
    stops = line.mark_tick(color=INK, thickness=1.6, size=11, orient="vertical").encode(x, y, tooltip="told:N")
    dots = (
        alt.Chart(seeds.drop(columns="below"))
        .transform_calculate(x=in_cost["x"])
        .transform_filter(f"{here} && seeds && ({chosen})")
        .mark_circle(size=14, color=FAINT, opacity=0.6)
        .encode(x, y, tooltip="told:N")
    )
    every = (
        alt.Chart(strategies).transform_calculate(**in_cost).transform_filter(f"{here} && (controls || !datum.control)")
    )
    legend = {"title": None, "orient": "bottom", "columns": 3}
    colours, shapes = zip(*KINDS.values(), strict=True)
    colour = alt.Color("kind:N").scale(domain=list(KINDS), range=colours).legend(**legend)
    shape = alt.Shape("kind:N").scale(domain=list(KINDS), range=shapes).legend(**legend)
    stroke = (
        every.transform_filter("!datum.below")
        .mark_rule(strokeWidth=1.5)
        .encode(
            x, alt.Y("low:Q"), alt.Y2("high:Q"), colour, opacity=alt.when(hover).then(strong).otherwise(alt.value(0))
        )
    )
    marks = (
        every.mark_point(filled=True, size=70, strokeWidth=1.4, cursor="pointer")
        .encode(
            x,
            y,
            colour,
            shape,
            href="row:N",
            opacity=alt.when(in_sight).then(alt.value(0.9)).otherwise(faint),
            tooltip=[alt.Tooltip(f"{name}:N", title=title) for name, title in TOLD.items()],
        )
        .add_params(hover)
    )
    text = alt.Text("label:N")
    names = (
        every.transform_filter(f"datum.label !== '' && ({in_sight})")
        .mark_text(dy=-12, fontSize=11, color=INK, limit=LONGEST)  # above: what saves lies above the line
        .encode(x, y, text)
    )
    lower = (
        every.transform_filter("datum.below")
        .mark_text(dy=13, fontSize=11, color=FAINT)
        .encode(x, y, text=alt.value("↓"))
    )
    title = {
        "text": {
            "expr": f"'accuracy against ' + {json.dumps(nouns)}[cost] + ', ' + {json.dumps(list(grounds))}[ground]"
        },
        "anchor": "start",
        "fontSize": 12,
        "fontWeight": "normal",
        "limit": {"expr": "width"},  # a long name must not leave the picture no room
    }
    return (
        alt.layer(drawn, stops, dots, stroke, marks, lower, names)
        .add_params(ground, cost, family, controls, single)
        .properties(width=WIDTH, height=HEIGHT, title=title, background="transparent")
        .configure(font='system-ui, "DejaVu Sans", sans-serif')
        .configure_view(stroke=None)
        .configure_axis(
            gridColor=HAIR,
            domainColor=HAIR,
            tickColor=HAIR,
            labelColor=FAINT,
            titleColor=FAINT,
            titleFontWeight="normal",
        )
        .configure_title(color=INK)
        .configure_legend(labelColor=INK, symbolSize=70)
    )
