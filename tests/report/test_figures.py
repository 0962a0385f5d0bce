"""Panels, colours and labels of the figures that studies share."""

import io
import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt

from frugal import report
from frugal.report import load, theme
from frugal.report.cost_figures import exchange_forest, exchange_grid, pareto_front
from report import factory

mpl.use("agg")


def frame(count: int, groups: int, seeds: int = 2) -> pd.DataFrame:
    """A table of runs of a baseline and `count` others in so many groups."""
    names = ["base", *(f"idea-{number}" for number in range(count))]
    titles = ["Baseline", *(f"group {number % groups}" for number in range(count))]
    rows = pd.DataFrame({"strategy": pd.Categorical(names, names), "group": titles, "where": "data, net"})
    rows["kind"] = pd.Categorical(["baseline"] + ["proposal"] * count, load.KINDS)
    return rows.loc[rows.index.repeat(seeds)].reset_index(drop=True)


@given(st.integers(1, 40), st.integers(1, 9))
def test_no_panel_has_more_than_eight_strategies_and_none_two_of_one_colour(count, groups):
    runs = frame(count, groups)
    shown, colours = load.panels(runs), theme.palette(runs)
    assert set(shown["strategy"]) == set(runs["strategy"]), "every strategy somewhere"
    for _, rows in shown.groupby("panel"):
        names = list(rows["strategy"].unique())
        assert "base" in names
        assert len(names) <= load.SERIES
        assert len({colours[name] for name in names}) == len(names)
        assert (rows.groupby("strategy", observed=True).size() == 2).all(), "no row twice"


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20))
def test_the_pareto_front_is_what_nobody_beats(points):
    cost, accuracy = np.array(points).T
    best = {points[index] for index in pareto_front(cost, accuracy)}
    beaten = {(c, a) for c, a in points if any(x <= c and y >= a and (x, y) != (c, a) for x, y in points)}
    assert best == set(points) - beaten


def texts(figure) -> list:
    """What is written in the axes of a figure."""
    return [text for axes in figure.axes for text in axes.texts if text.get_text()]


@pytest.mark.parametrize("draw", [report.tradeoff, report.clock], ids=["tradeoff", "clock"])
def test_names_beside_points_cover_no_other_name(draw, make_tables, tmp_path):
    _, _, folder = make_tables(of=factory.selection)
    report.set_theme(tmp_path)
    figure = draw(folder)
    figure.savefig(io.BytesIO())
    boxes = [mpl.text.Text.get_window_extent(text) for text in texts(figure)]  # without the line to its point
    assert len(boxes) >= 3
    assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[:place])
    plt.close(figure)


def test_a_figure_has_the_same_ids_each_time_and_takes_colours_from_the_page(make_tables, tmp_path, monkeypatch):
    _, _, folder = make_tables()
    monkeypatch.setattr(theme, "display", lambda _: None)
    report.set_theme(tmp_path)
    for name in ("one", "one", "other"):
        report.save(report.differences(folder), name, "What it <shows>.")
    one, other = ((tmp_path / f"{name}.svg").read_text() for name in ("one", "other"))
    ids = [set(re.findall(r'id="([^"]+)"', svg)) for svg in (one, other)]
    assert ids[0]
    assert ids[0].isdisjoint(ids[1]), "two figures of one page share no id"
    assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', one)) <= ids[0]
    assert "var(--ink, #1f2328)" in one
    assert 'aria-label="What it &lt;shows&gt;."' in one
    assert 'style="width:100%' in one.partition(">")[0], "it scales with the page"
    assert ' width="' in one.partition(">")[0], "and has a size as an image of another page"
    report.save(report.differences(folder), "again", "")
    assert "#1f2328" not in re.sub(r"var\(--ink, #1f2328\)", "", one)


def test_a_grid_is_laid_out_once_and_also_where_nobody_saves_it(tmp_path, monkeypatch):
    passes = []
    execute = mpl.layout_engine.TightLayoutEngine.execute
    monkeypatch.setattr(
        mpl.layout_engine.TightLayoutEngine, "execute", lambda *given: passes.append(given) or execute(*given)
    )
    report.set_theme(tmp_path)
    rows = pd.DataFrame({"epoch": [1, 2] * 2, "value": range(4), "panel": ["one", "one", "two", "two"]})
    grid = sns.relplot(rows, x="epoch", y="value", col="panel", kind="line")
    assert not passes, "it grows still"
    report.save(grid, "grid", "Two panels.")
    assert len(passes) == 1
    shown = sns.relplot(rows, x="epoch", y="value", col="panel", kind="line")
    shown.figure.canvas.draw()
    assert len(passes) == 2
    plt.close(shown.figure)


@pytest.mark.parametrize("folder", ["strong", "cross", "titanic", "imdb", "imagenette"])
def test_every_axis_of_exchange_rates_has_a_scale(folder):
    figure = exchange_forest(f"results/shown/{folder}/tables/cross")
    for axes in figure.axes:
        low, high = axes.get_xlim()
        assert sum(low <= tick <= high for tick in axes.get_xticks()) > 2, "one tick is no scale"


def test_the_grid_of_exchange_rates_shows_each_strategy_that_was_tried_twice_where_its_verdict_is():
    folders = [f"results/shown/{folder}/tables/cross" for folder in ("cross", "strong")]
    figure = exchange_grid(folders)
    drawn = {
        (axes.get_title(loc="left").replace("\n", ", "), names[round(line.get_ydata()[0])]): (
            line.get_xdata()[0],
            line.get_color(),
        )
        for names in [[label.get_text() for label in figure.axes[0].get_yticklabels()]]
        for axes in figure.axes
        for line in axes.lines
        if len(line.get_xdata()) == 1
    }
    known = pd.concat([load.summary(folder) for folder in folders]).query(
        "kind == 'proposal' and flops_executed_exchange_rate > 0"
    )
    twice = known.groupby("strategy", observed=True)["where"].nunique()
    expected = known[known["strategy"].isin(twice[twice > 1].index)]
    assert {name for _, name in drawn} == set(expected["strategy"]) >= {"infobatch", "frequency-curriculum"}
    assert len(drawn) == len(expected)
    for row in expected.itertuples():
        at, colour = drawn[row.where, row.strategy]
        assert at == pytest.approx(row.flops_executed_exchange_rate)
        assert colour == {"saves": theme.GOOD, "wastes": theme.BAD}.get(row.flops_executed_exchange_verdict, theme.OPEN)
