"""A strategy chosen without its control: the page names the one that the study knows."""

from pathlib import Path

import pandas as pd
import pytest

from frugal.plan import Plan
from frugal.report.leaderboard import _control
from frugal.yamlfile import read_yaml

CONFIG = Path(__file__).parents[2] / "config"
CONTROL = "short-as-selective-backprop"


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (["full", "selective-backprop"], f"none of equal cost was trained; the study knows <code>{CONTROL}</code>"),
        (["full", "selective-backprop", CONTROL], "none of equal cost"),
    ],
)
def test_a_control_that_was_left_out_is_named(tmp_path, chosen, told):
    own = {"studies": ["cross"], "results": str(tmp_path), "override": {"strategies": chosen}}
    study = Plan(read_yaml(CONFIG / "config.yaml") | own, CONFIG).studies["cross"]
    assert _control(pd.Series({"strategy": "selective-backprop", "control": None}), study) == told
