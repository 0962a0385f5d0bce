"""Runs whose FLOPs could not be counted: tables, sentences, figures and pages without them, and no number in their place."""

import json

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from frugal.report import caveats, cost_figures, figures, reported, sentences
from frugal.report.load import comparisons

mpl.use("agg")
SENTENCES = (
    *(sentences.headline, sentences.verdicts, sentences.exchanged, sentences.against_controls),
    *(sentences.realised_in_time, sentences.reaching_the_target, caveats.doubts),
)
FLOPS = ("flops_executed", "flops_forward", "flops_backward", "flops_forward_per_sample")


def uncounted(*strategies):
    """Takes the FLOPs out of the records of these strategies, or of all."""

    def spoil(folder):
        for file in folder.glob("*/*/*/seed-*/metrics.json"):
            if strategies and file.parts[-3] not in strategies:
                continue
            content = json.loads(file.read_text())
            file.write_text(json.dumps(content | dict.fromkeys(FLOPS) | {"flops_source": "not counted: it can't be"}))
            history = pd.read_csv(file.parent / "history.csv")
            history.assign(flops_executed=None).to_csv(file.parent / "history.csv", index=False)

    return spoil


@pytest.mark.parametrize(
    ("which", "cost"), [((), "flops_executed"), (("ema-4-16",), "bytes_read"), (("full",), "flops_executed")]
)
def test_a_study_is_reported_without_flops(make_tables, which, cost):
    study, tables, folder = make_tables(uncounted(*which), cost=cost)
    missing = tables.runs[tables.runs["strategy"].isin(which or study.strategies)]
    assert missing["flops_executed"].isna().all()
    assert not tables.audit["finding"].str.contains("left out|missing").any()
    assert not reported.savings(folder).astype(str).isin(["nan", "nan %"]).any(axis=None)
    for compared in comparisons(folder, study):
        for sentence in SENTENCES:
            assert "nan" not in sentence(compared).lower().replace("dominan", "")
    for draw in (
        figures.differences,
        cost_figures.tradeoff,
        cost_figures.exchange_forest,
        figures.clock,
        figures.curves,
    ):
        draw(folder).figure.draw_without_rendering()
        plt.close("all")
    cost_figures.tradeoff(folder, "flops_executed").draw_without_rendering()
