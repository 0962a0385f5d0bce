import matplotlib as mpl
import numpy as np
import pytest
from frugal.report.labels import spread
from frugal.report.pareto import front
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt

from frugal.report import compression_figures, curves, figures, infobatch_figures, tradeoff
from frugal.report.load import comparisons
from frugal.report.theme import CHOSEN, Look, looks, styles

mpl.use("agg")
SHARED = [
    *(curves.loss_curves, curves.epochs, curves.accuracy_by_cost),
    *(figures.accuracy_bars, figures.differences, figures.to_target, figures.clock),
    *(tradeoff.tradeoff, tradeoff.tradeoff_flops, tradeoff.tradeoff_seconds),
]
ALL = [*SHARED, compression_figures.ratio_bars, compression_figures.levels]
LOOKS = pytest.mark.parametrize("look", list(looks()), ids=["light", "dark", "light-phone", "dark-phone"])


def drawn_texts(figure) -> list:
    """Every text of a figure that is drawn, and not those of ticks outside the axes."""
    texts = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for axes in figure.axes:
        texts += [*axes.texts, axes._left_title, axes.xaxis.label, axes.yaxis.label]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            texts += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [text for text in texts if text.get_visible() and text.get_text().strip()]


def cut_off(figure) -> list[str]:
    """Texts that reach beyond the edge of the figure by more than a pixel."""
    figure.draw_without_rendering()
    edge = figure.bbox.padded(1)
    boxes = [(text.get_text(), text.get_window_extent()) for text in drawn_texts(figure)]
    return [name for name, box in boxes if not (edge.contains(box.x0, box.y0) and edge.contains(box.x1, box.y1))]


def text_lost(draw, compared, look) -> list[str]:
    look = look.of(compared.study)
    with look.applied():
        figure = draw(compared, look)
        lost = cut_off(figure)
        plt.close(figure)
    return lost


@LOOKS
@pytest.mark.parametrize("draw", ALL, ids=lambda draw: draw.__name__)
def test_no_text_is_cut_off(draw, look, study, results):
    assert not text_lost(draw, comparisons(study, results / "tables/compression")[0], look)


@LOOKS
@pytest.mark.parametrize("draw", [*SHARED, infobatch_figures.pruned_share], ids=lambda draw: draw.__name__)
def test_a_study_of_samples_is_drawn_as_well_as_one_of_bytes(draw, look, selection):
    assert not text_lost(draw, selection, look)


@pytest.mark.parametrize("draw", [*ALL, infobatch_figures.pruned_share], ids=lambda draw: draw.__name__)
def test_one_seed_and_one_level_are_drawn_too(draw, make_tables):
    study, _, folder = make_tables(seeds=[3], strategies=["full", "fixed-4"], target_accuracy=1.0)
    text_lost(draw, comparisons(study, folder)[0], Look())


def test_target_that_nobody_reached_is_said(make_tables):
    study, _, folder = make_tables(target_accuracy=1.0)
    look = Look().of(study)
    with look.applied():
        figure = figures.to_target(comparisons(study, folder)[0], look)
    said = [text.get_text() for axes in figure.axes for text in axes.texts]
    plt.close(figure)
    assert said == ["not reached"] * 2 * len(study.strategies), "epochs and seconds; nothing was spent to get there"


@given(st.lists(st.text("abc-", min_size=1, max_size=4), unique=True, max_size=90), st.integers(0, 5))
def test_no_two_strategies_of_a_study_look_alike(names, controls):
    names = [*CHOSEN, *names]
    given = styles(["full", *names], "full", names[len(names) - controls :])
    assert set(given) == set(names)
    assert len(set(given.values())) == len(names)
    assert {name: given[name] for name in CHOSEN} == CHOSEN


def test_ten_proposals_have_ten_colours_and_controls_others():
    names = [f"idea-{number}" for number in range(10)]
    given = styles(["full", *names, "random", "short"], "full", ["random", "short"])
    assert len({colour for colour, _ in given.values()}) == 12


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=12), st.floats(0.01, 3))
def test_spread_labels_keep_their_distance_and_order(wanted, gap):
    placed = spread(wanted, gap)
    ranked = [placed[index] for index in np.argsort(wanted, kind="stable")]
    assert all(below + gap <= above + 1e-9 for below, above in zip(ranked, ranked[1:], strict=False))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20))
def test_front_is_what_nobody_beats(points):
    cost, accuracy = np.array(points).T
    best = {points[index] for index in front(cost, accuracy)}
    beaten = {(c, a) for c, a in points if any(x <= c and y >= a and (x, y) != (c, a) for x, y in points)}
    assert best == set(points) - beaten
