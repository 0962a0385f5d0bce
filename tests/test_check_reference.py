"""`make check-reference`: which reference, which budgets, which runs, and the exit status."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import check_reference as command
from frugal.errors import FrugalError
from frugal.plan import Plan
from frugal.report import reference
from frugal.yamlfile import read_yaml


@pytest.fixture
def references():
    return reference.read_all()


def test_the_cheapest_is_the_default_and_an_unknown_one_is_named(references):
    assert command.chosen(None, references).seconds == min(one.seconds for one in references)
    assert command.chosen(references[-1].name, references) is references[-1]
    with pytest.raises(FrugalError, match="unknown reference 'digits'"):
        command.chosen("digits", references)
    with pytest.raises(FrugalError, match="has no reference"):
        command.chosen(None, [])


def test_time_leaves_out_the_largest_budgets_and_says_so(references, capsys):
    table = references[0].table
    assert command.affordable(references[0], 1e9) == table["budget"].tolist()
    assert command.affordable(references[0], 2.1 * table["train_seconds"].iloc[0]) == table["budget"].tolist()[:1]
    assert "budget 1 is left out" in capsys.readouterr().err
    with pytest.raises(FrugalError, match="raise --minutes"):
        command.affordable(references[0], 0)


def test_every_committed_reference_is_of_the_recipe_that_its_study_has_and_is_checked_with_other_seeds(
    references, tmp_path
):
    for one in references:
        config = read_yaml(Path("config/config.yaml")) | command.config_of(one, str(tmp_path))
        plan = Plan(config)
        study = plan.studies[one.origin("study")]
        assert not one.seeds & set(study.seeds)
        cells = command.cells_of(study, one, one.table["budget"].tolist())
        assert list(cells.values()) == one.table["budget"].tolist()
        whole = next(cell for cell, budget in cells.items() if budget == 1)
        spec = plan.run(study.name, *whole, study.seeds[0]).model_dump(mode="json")
        reference.check_same_ground(one, spec["recipe"], one.origin("data_checksum"))
        assert reference.spread_for(study, whole.dataset, whole.model, one.origin("data_checksum")) is not None


@pytest.mark.parametrize(("shift", "status", "said"), [(0, 0, "converges as it should"), (-9, 1, "does not converge")])
def test_the_exit_status_says_what_the_last_line_says(references, capsys, shift, status, said):
    table = references[0].table
    runs = pd.DataFrame(
        {"budget": np.repeat(table["budget"], 2), "test_accuracy": np.repeat(table["mean"] + shift * table["sd"], 2)}
    )
    assert command.tell(references[0], reference.agreement(references[0], runs)) == status
    assert said in capsys.readouterr().out.splitlines()[-1]
