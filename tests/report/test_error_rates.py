"""Error rates are those of drawn studies, the same for any number of processes, and a target is missed only beyond chance."""

import json
import sys
from pathlib import Path

import pytest

import error_rates as command
from frugal.errors import FrugalError
from frugal.report import error_rates, reference

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def ground():
    return reference.read_all(ROOT / "config/reference")[0]


@pytest.fixture(scope="module")
def rates(ground):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(error_rates, "SEEDS", (3,))
        return error_rates.measure(ground, 12)


def test_every_kind_is_counted_over_as_many_studies_as_asked_for(rates):
    studies = {(rate.kind, rate.what): rate.of for rate in rates if rate.seeds == 3}
    assert {kind for kind, _ in studies} == set(error_rates.TARGETS)
    assert studies[error_rates.FALSE_CALLS, "a saving, any of the copies"] == 12
    assert studies[error_rates.COVERED, "all differences of a study, simultaneous"] == 24


def test_larger_losses_are_found_more_often_and_the_seeds_advised_find_theirs(rates):
    found = {rate.what: rate.value for rate in rates if rate.kind == error_rates.FOUND}
    losses = [found[f"a loss of {loss} points, as a difference"] for loss in ("0.2", "0.5", "1")]
    assert losses == sorted(losses)
    assert found["a loss of 0.5 points, as a difference, seeds advised for it"] >= 0.6


def test_figures_do_not_depend_on_how_many_processes_share_the_work(ground, monkeypatch):
    monkeypatch.setattr(error_rates, "SEEDS", (2,))
    monkeypatch.setattr(error_rates, "PART", 2)
    monkeypatch.setattr(error_rates, "ADVISED_MOST", 0)
    assert error_rates.measure(ground, 4, processes=1) == error_rates.measure(ground, 4, processes=2)


@pytest.mark.parametrize(("hits", "met"), [(40, True), (60, True), (100, False)])
def test_a_rate_misses_its_target_only_beyond_the_chance_of_its_own_studies(hits, met):
    assert error_rates.Rate("", "", 3, hits, 1000, (0.0, 0.05)).met is met


def test_the_command_writes_what_it_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(error_rates, "SEEDS", (3,))
    monkeypatch.setattr(error_rates, "ADVISED_MOST", 0)
    out = tmp_path / "out.json"
    monkeypatch.setattr(sys, "argv", ["error_rates.py", "--studies", "1", "--processes", "1", "--out", str(out)])
    command.main()
    written, printed = json.loads(out.read_text()), capsys.readouterr().out
    assert "found in 80 of 100 studies" in printed
    assert {"hardware", "git", "command", "measured"} <= written.keys()
    assert {"value", "interval", "target", "met", "reference"} <= written["rows"][0].keys()
    assert all(row["what"] in printed for row in written["rows"])


def test_the_command_refuses_a_reference_that_is_none(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["error_rates.py", "nothing"])
    with pytest.raises(FrugalError, match="unknown reference 'nothing'"):
        command.main()
