"""The study of sparse layers: its jobs, and the one measurement of the machine that only its report asks for."""

from pathlib import Path

import pytest
import yaml

from frugal.plan import Plan

FOLDER = Path(__file__).parents[2] / "config"


def test_a_dry_run_lists_each_run_and_one_crossover_map(fresh):
    alone = {"train": 2 * (5 + 2) * 3}  # tasks, strategies and the baseline at two budgets more, seeds
    once = {"card": 2, "tabulate": 1, "crossover": 1, "render": 1, "overview": 1, "index": 1}
    assert fresh.planned(config=("studies=[sparsity]",)) == {"prepare": 2, "train_sparsity": 2, **once}
    override = "override={grouped: false}"
    assert fresh.planned(config=("studies=[sparsity]", override)) == {"prepare": 2, **alone, **once}


@pytest.mark.parametrize(("scale", "strategies"), [("demo", 5), ("cpu", 7), ("standard", 9), ("published", 9)])
def test_two_of_four_is_asked_for_only_where_a_gpu_is(scale, strategies):
    config = yaml.safe_load((FOLDER / "config.yaml").read_text())
    study = Plan({**config, "scale": scale, "studies": ["sparsity"]}, FOLDER).studies["sparsity"]
    assert len(list(study.runs())) == 2 * (strategies + 2 * (scale == "demo")) * 3
    assert ("semi-structured-2-4" in study.strategies) == (scale in ("standard", "published"))
