"""An override that changes strategies: sweeps with their controls, what is trained again, and what is refused."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import yaml

from frugal.budgets import share_in
from frugal.errors import FrugalError
from frugal.plan import Plan
from frugal.report import load, sweep_curves
from frugal.study import Sweep

CONFIG = Path(__file__).parents[1] / "config"
DEFAULTS = yaml.safe_load((CONFIG / "config.yaml").read_text())


def planned(changes, study="infobatch", **more):
    return Plan({**DEFAULTS, "studies": [study], "override": {"strategies": changes, **more}}, CONFIG)


def plans(plan, study="infobatch", **only):
    """What tells each strategy's run from another one."""
    dataset, model = plan.studies[study].pairs[0]
    return {
        s: plan.run(study, dataset, model, s, 0).plan("") for s in plan.studies[study].strategies_of(dataset, model)
    }


def test_a_list_is_a_sweep_each_point_with_what_follows_it_and_nothing_else_changes():
    before, plan = plans(planned({})), planned({"infobatch": {"prune_ratio": ["0.30", 0.7]}})
    study, after = plan.studies["infobatch"], plans(plan)
    new = [
        f"{name}@prune_ratio={value}"
        for value in ("0.3", "0.7")
        for name in ("infobatch", "random-subset", "full-short")
    ]
    assert [name for name in after if name not in before] == new
    assert {name: after[name] for name in before} == before, "what is unchanged isn't trained again"
    assert study.follows["full-short@prune_ratio=0.7"] == "infobatch@prune_ratio=0.7"
    assert study.parameters["infobatch@prune_ratio=0.7"]["prune_ratio"] == 0.7
    assert {"random-subset@prune_ratio=0.3", "full-short@prune_ratio=0.3"} <= set(study.controls)
    assert study.panels["infobatch by prune_ratio"] == new
    assert study.sweeps == [
        Sweep(
            strategy="infobatch",
            parameters=["prune_ratio"],
            points={f"infobatch@prune_ratio={value}": {"prune_ratio": value} for value in ("0.3", "0.7")},
            controls={f"infobatch@prune_ratio={value}": f"full-short@prune_ratio={value}" for value in ("0.3", "0.7")},
        )
    ]


def test_one_value_changes_the_strategy_itself_and_lists_of_two_parameters_are_combined():
    before = plans(planned({}))
    plan = planned({"infobatch": {"delta": 0.5}, "seta": {"groups": [3, 4], "window": [0.5, 0.8]}})
    after = plans(plan)
    assert [name for name in before if after[name] != before[name]] == ["infobatch"]
    combined = [f"seta@groups={groups},window={window}" for groups in (3, 4) for window in (0.5, 0.8)]
    assert list(plan.studies["infobatch"].sweeps[0].points) == combined


def test_the_value_that_a_strategy_has_is_the_strategy_itself():
    before, plan = plans(planned({})), planned({"infobatch": {"prune_ratio": [0.3, 0.5]}})
    assert len(plans(plan)) == len(before) + 3
    (sweep,) = plan.studies["infobatch"].sweeps
    assert sweep.points["infobatch"] == {"prune_ratio": "0.5"}
    assert sweep.controls["infobatch"] == "full-short"


def test_a_point_without_a_control_of_equal_cost_gets_one():
    study = planned({"block-4x4": {"sparsity": [0.25]}}, "cross").studies["cross"]
    assert study.follows["short-as-block-4x4@sparsity=0.25"] == "block-4x4@sparsity=0.25"
    assert "short-as-block-4x4@sparsity=0.25" in study.controls


def test_scores_are_made_anew_for_each_point_and_those_who_use_them_are_compared():
    config = {"strategies": {"el2n": {"passes": [1, 2]}}}
    plan = Plan({**DEFAULTS, "scale": "mnist", "studies": ["cross"], "override": config}, CONFIG)
    study = plan.studies["cross"]
    assert {"el2n", "el2n@passes=2"} <= set(study.scoring)
    assert [sweep.strategy for sweep in study.sweeps] == ["el2n-hardest", "el2n-ccs"]
    assert list(study.sweeps[1].points) == ["el2n-ccs", "el2n-ccs@passes=2"]
    assert study.sweeps[0].controls["el2n-hardest@passes=2"] == "short-as-el2n-hardest@passes=2"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"infobach": {"prune_ratio": [0.3]}}, "trains no 'infobach'; did you mean infobatch"),
        ({"infobatch": {"prune_ratios": [0.3]}}, "no parameter 'prune_ratios'; did you mean prune_ratio"),
        ({"infobatch": {"prune_ratio": [0.3, 2]}}, "prune_ratio is 2; "),
        ({"infobatch": {"prune_ratio": [0.3, "0.30"]}}, "the value prune_ratio=0.3 is given twice"),
        ({"infobatch": {"prune_ratio": []}}, "lists no value"),
        ({"infobatch": [0.3]}, "must be a mapping of parameters"),
        ({"full-short": {"cost": ["flops_executed", "bytes_read"]}}, "what others are held against"),
    ],
)
def test_what_can_be_no_sweep_is_refused_in_one_line(changes, said):
    with pytest.raises(FrugalError) as refused:
        planned(changes)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_names_of_points_are_not_taken_for_budgets():
    assert share_in("infobatch@prune_ratio=0.3") == ("infobatch@prune_ratio=0.3", None)
    assert share_in("lawa@window=3@0.5") == ("lawa@window=3", 0.5)


def test_the_figure_has_a_line_for_the_points_and_one_for_their_controls(monkeypatch):
    study = planned({"infobatch": {"prune_ratio": [0.3, 0.5, 0.7]}}).studies["infobatch"]
    tables = CONFIG.parent / "results/shown/cross/tables/cross"
    rows = load.summary(tables).iloc[:6].assign(strategy=[*study.sweeps[0].points, *study.sweeps[0].controls.values()])
    monkeypatch.setattr(load, "read_study_of", lambda _: study)
    monkeypatch.setattr(load, "summary", lambda _: rows)
    monkeypatch.setattr(sweep_curves, "palette", lambda _: {"infobatch": "#123456"})
    ((figure, name, caption),) = sweep_curves.sweeps(tables)
    accuracy, rate = figure.axes
    assert name == "sweep-infobatch-prune_ratio"
    assert [len(line.get_xdata()) for line in accuracy.lines] == [3, 3]
    assert list(rate.lines[0].get_xdata()) == [0.3, 0.5, 0.7]
    np.testing.assert_array_equal(rate.lines[0].get_ydata(), rows["samples_backpropagated_exchange_rate"][:3])
    plt.close(figure)
