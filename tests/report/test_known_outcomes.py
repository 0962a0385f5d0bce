"""Known outcomes: what is expected is called found, its opposite not found, and what an interval leaves open undecided."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from frugal.errors import FrugalError
from frugal.failed import FINDING as FAILED
from frugal.report import known_outcomes as k
from frugal.report.copies import COPIED
from frugal.report.evidence import UNPROVEN
from frugal.report.overview import show_claims

ROOT = Path(__file__).parents[2]
SHOWN = ROOT / "results/shown/cross"
OF_ACCURACY = {"study": "cross", "strategy": "infobatch", "against": "narrow", "kind": "known", "source": "a test"}
OF_RATE = {"study": "cross", "strategy": "infobatch", "currency": "flops_executed", "kind": "known", "source": "a test"}


@pytest.fixture
def tables(tmp_path):
    """The shown tables of cross on one of its grounds, to be changed."""
    shutil.copytree(SHOWN / "tables", tmp_path / "tables")
    folder = tmp_path / "tables/cross"
    study = json.loads((folder / "study.json").read_text())
    tasks = [pair for pair in study["tasks"] if pair["model"] == "cnn-small"]
    (folder / "study.json").write_text(json.dumps(study | {"tasks": tasks, "models": ["cnn-small"]}))
    for file in (folder / "summary.csv", folder / "runs.csv"):
        table = pd.read_csv(file)
        table[table["model"] == "cnn-small"].to_csv(file, index=False)
    return tmp_path / "tables"


def shifted(tables, points):
    """infobatch so many points more accurate than narrow in each seed, give or take a hundredth."""
    file = tables / "cross/runs.csv"
    runs = pd.read_csv(file)
    narrow = runs[runs["strategy"] == "narrow"].set_index("seed")["test_accuracy"]
    mine = runs["strategy"] == "infobatch"
    seeds = runs.loc[mine, "seed"]
    runs.loc[mine, "test_accuracy"] = seeds.map(narrow) + points / 100 + 1e-4 * (seeds % 2 - 0.5)
    runs.to_csv(file, index=False)


def outcome(tables, **case):
    (found,) = k.outcomes([k.Case(case="a case", **case)], tables.parent)
    return found.outcome


@pytest.mark.parametrize(
    ("points", "better", "worse", "no_better", "no_worse"),
    [
        (2.0, k.FOUND, k.NOT_FOUND, k.NOT_FOUND, k.FOUND),
        (-2.0, k.NOT_FOUND, k.FOUND, k.FOUND, k.NOT_FOUND),
        (0.5, k.FOUND, k.NOT_FOUND, k.UNDECIDED, k.FOUND),  # surely better, by more than the margin or by less
        (0.3, k.FOUND, k.NOT_FOUND, k.WITHIN, k.FOUND),
        (-0.3, k.NOT_FOUND, k.FOUND, k.FOUND, k.WITHIN),
        (-0.5, k.NOT_FOUND, k.FOUND, k.FOUND, k.UNDECIDED),
        (0.0, k.UNDECIDED, k.UNDECIDED, k.FOUND, k.FOUND),  # the interval is narrower than the margin of half a point
    ],
)
def test_a_difference_is_read_from_the_side_of_what_is_expected(tables, points, better, worse, no_better, no_worse):
    shifted(tables, points)
    told = {"better": better, "worse": worse, "no better": no_better, "no worse": no_worse}
    assert {expected: outcome(tables, **OF_ACCURACY, expected=expected) for expected in told} == told


def test_a_difference_to_the_baseline_has_the_interval_of_the_reports(tables):
    row = pd.read_csv(tables / "cross/summary.csv").set_index("strategy").loc["infobatch"]
    (found,) = k.outcomes(
        [k.Case(case="a case", **OF_ACCURACY | {"against": "full"}, expected="no worse")], tables.parent
    )
    told = f"{100 * row['test_accuracy_difference_low']:.2f} to {100 * row['test_accuracy_difference_high']:+.2f}"
    assert told.replace("-", "\N{MINUS SIGN}") in found.measured


@pytest.mark.parametrize(
    ("interval", "at_least", "at_most"),
    [
        ((1.2, 1.8), k.FOUND, k.NOT_FOUND),
        ((0.4, 0.8), k.NOT_FOUND, k.FOUND),
        ((0.8, float("inf")), k.UNDECIDED, k.UNDECIDED),
    ],
)
def test_a_rate_is_held_against_its_bound(tables, interval, at_least, at_most):
    file = tables / "cross/summary.csv"
    summary = pd.read_csv(file)
    columns = [f"flops_executed_exchange_{part}" for part in ("rate", "low", "high")]
    summary.loc[summary["strategy"] == "infobatch", columns] = [1.0, *interval]
    summary.to_csv(file, index=False)
    assert outcome(tables, **OF_RATE, at_least=1) == at_least
    assert outcome(tables, **OF_RATE, at_most=1) == at_most


@pytest.mark.parametrize(
    ("interval", "at_least", "at_most"),
    [((0.2, 0.4), k.FOUND, k.NOT_FOUND), ((-0.1, 0.05), k.NOT_FOUND, k.FOUND), ((0.0, 0.2), k.UNDECIDED, k.UNDECIDED)],
)
def test_a_saving_is_held_against_its_bound(tables, interval, at_least, at_most):
    file = tables / "cross/summary.csv"
    summary = pd.read_csv(file)
    columns = [f"cpu_seconds_saved_{part}" for part in ("mean", "low", "high")]
    summary.loc[summary["strategy"] == "infobatch", columns] = [sum(interval) / 2, *interval]
    summary.to_csv(file, index=False)
    of_saving = {**OF_ACCURACY, "against": None, "saved": "cpu_seconds"}
    assert outcome(tables, **of_saving, at_least=0.1) == at_least
    assert outcome(tables, **of_saving, at_most=0.1) == at_most


def found_by_the_audit(tables, finding, strategy):
    file = tables / "cross/audit.csv"
    audit = pd.read_csv(file)
    found = {"finding": finding, "dataset": "mnist", "model": "cnn-small", "detail": "of a test"}
    runs = ", ".join(f"{strategy}/seed-{seed}" for seed in range(3))
    pd.concat([audit, pd.DataFrame([{**found, "runs": runs}])]).to_csv(file, index=False)


@pytest.mark.parametrize(
    ("finding", "of_accuracy"), [(COPIED, True), (UNPROVEN, False), ("idle while it was timed", False)]
)
@pytest.mark.parametrize("doubted", ["infobatch", "narrow"])
def test_a_claim_about_accuracy_is_undecided_where_that_of_either_is_doubted(tables, finding, of_accuracy, doubted):
    shifted(tables, 2.0)
    found_by_the_audit(tables, finding, doubted)
    case = k.Case(case="a case", **OF_ACCURACY | {"kind": "claimed"}, expected="better")
    (one,) = k.outcomes([case], tables.parent)
    assert one.verdict == ("undecided" if of_accuracy else "confirmed")
    assert one.measured.endswith(f"; the audit found {finding} (3) of {doubted}") == of_accuracy


def test_what_a_doubted_strategy_loses_stays_lost(tables):
    shifted(tables, -2.0)
    found_by_the_audit(tables, COPIED, "infobatch")
    assert outcome(tables, **OF_ACCURACY, expected="worse") == k.FOUND
    assert outcome(tables, **OF_ACCURACY, expected="no worse") == k.NOT_FOUND
    found_by_the_audit(tables, FAILED, "narrow")
    assert outcome(tables, **OF_ACCURACY, expected="worse") == k.UNDECIDED, "to whom it loses is doubted too"


@pytest.mark.parametrize(
    ("figure", "interval", "bound", "doubted", "held"),
    [
        ("cpu_seconds_saved", (0.2, 0.4), {"saved": "cpu_seconds", "at_least": 0.1}, k.UNDECIDED, k.FOUND),
        ("cpu_seconds_saved", (0.2, 0.4), {"saved": "cpu_seconds", "at_least": 0.5}, k.UNDECIDED, k.NOT_FOUND),
        ("cpu_seconds_saved", (-0.2, -0.1), {"saved": "cpu_seconds", "at_least": 0}, k.NOT_FOUND, k.NOT_FOUND),
        ("flops_executed_exchange", (1.2, 1.8), {"currency": "flops_executed", "at_most": 1}, k.UNDECIDED, k.NOT_FOUND),
        ("flops_executed_exchange", (0.9, 0.95), {"currency": "flops_executed", "at_least": 0.8}, k.UNDECIDED, k.FOUND),
        ("flops_executed_exchange", (0.4, 0.8), {"currency": "flops_executed", "at_most": 1}, k.FOUND, k.FOUND),
    ],
)
@pytest.mark.parametrize("finding", [COPIED, UNPROVEN])
def test_a_claim_about_cost_is_undecided_where_its_saving_is_doubted(
    tables, figure, interval, bound, doubted, held, finding
):
    file = tables / "cross/summary.csv"
    summary = pd.read_csv(file)
    columns = [f"{figure}_{part}" for part in ("rate" if "exchange" in figure else "mean", "low", "high")]
    summary.loc[summary["strategy"] == "infobatch", columns] = [sum(interval) / 2, *interval]
    summary.to_csv(file, index=False)
    common = {"case": "a case", "study": "cross", "strategy": "infobatch", "kind": "known", "source": "a test"}
    case = k.Case(**common, **bound)
    assert k.outcomes([case], tables.parent)[0].outcome == held
    found_by_the_audit(tables, finding, "infobatch")
    (one,) = k.outcomes([case], tables.parent)
    assert one.outcome == doubted
    assert one.measured.endswith(f"since the audit found {finding} (3)") == (doubted == k.UNDECIDED)


def test_a_page_says_what_became_of_each_claim_and_of_no_other_case(tables, tmp_path):
    cases = (ROOT / k.FILE).read_text()
    shown = k.claim_verdicts(tables.parent, ["cross"], ROOT / k.FILE)
    claims = [case for case in k.read_cases(ROOT / k.FILE) if case.kind == "claimed"]
    assert list(shown["claim"]) == [case.case for case in claims]
    assert set(shown["verdict"]) <= set(k.VERDICTS.values())
    nothing = shown[shown["claim"].str.contains("of the energy")].iloc[0]
    assert nothing["verdict"] == "undecided"
    assert "no meter" in nothing["measured"]
    assert "strategy: ast-half-40\n  because" in cases
    (tmp_path / "cases.yaml").write_text(cases.replace("ast-half-40\n  because", "nobody\n  because"))
    elsewhere = k.claim_verdicts(tables.parent, ["cross"], tmp_path / "cases.yaml").set_index("claim")
    assert elsewhere.loc[nothing["claim"], ["verdict", "measured"]].tolist() == ["not run", "no run of nobody"]
    assert list(k.claim_verdicts(tables.parent, ["infobatch"], ROOT / k.FILE)) == ["fact"], "cross is not on this page"


def test_claims_that_no_run_puts_to_the_test_are_folded(tables, monkeypatch):
    shown = []
    monkeypatch.setattr("frugal.report.display.display", lambda part: shown.append(part.data))
    found = k.claim_verdicts(tables.parent, ["cross"], ROOT / k.FILE)
    waiting = (found["verdict"] == k.VERDICTS[k.NOT_RUN]).sum()
    assert 0 < waiting < len(found)
    show_claims(found)
    assert [("<details>" in part, part.count("<tr>") + part.count("<tr ") - 1) for part in shown] == [
        (False, len(found) - waiting),
        (True, waiting),
    ]
    assert f"no run here puts to the test: {waiting}<" in shown[1]
    tried = found[found["verdict"] != k.VERDICTS[k.NOT_RUN]]
    named = [shown[0].count(f'<span class="of">{name}</span>') for name in ("measured", "a fairer test")]
    assert named == [
        len(tried),
        (tried["a fairer test"] != "").sum(),
    ]  # a card of a phone names what it holds, and no empty cell


def test_what_has_no_runs_or_no_rate_is_said_to_have_none(tables):
    assert outcome(tables, **OF_ACCURACY | {"against": "nobody"}, expected="better") == k.NOT_RUN
    assert outcome(tables, **OF_ACCURACY | {"study": "ast"}, expected="better") == k.NOT_RUN
    assert outcome(tables, **OF_RATE | {"currency": "energy_joules"}, at_least=1) == k.UNDECIDED


def test_the_cases_name_strategies_of_their_studies_and_each_gets_a_row(tables):
    cases = k.read_cases(ROOT / k.FILE)
    for case in cases:
        listed = (ROOT / f"config/studies/{case.study}.yaml").read_text()
        assert all(f"\n  {name.split('@')[0]}:" in listed for name in (case.strategy, case.against) if name), case.case
    command = [sys.executable, ROOT / "scripts/known_outcomes.py", "--results", tables.parent]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    lines = [line.split(": ") for line in done.stdout.strip().splitlines()[-3:]]
    counts = {what: sum(int(part.split()[0]) for part in told.split(", ")) for what, told in lines}
    claims = [case for case in cases if case.kind == "claimed"]
    about_accuracy = sum(case.against is not None for case in claims)
    assert counts == {
        "known": len(cases) - len(claims),
        "claims about accuracy": about_accuracy,
        "claims about cost": len(claims) - about_accuracy,
    }


def test_a_folder_that_is_not_there_is_named(tmp_path):
    command = [sys.executable, ROOT / "scripts/known_outcomes.py", "--results", tmp_path, tmp_path / "nope"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2, done.stdout
    assert done.stderr.startswith(f"frugal: {tmp_path / 'nope'} is no folder")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"currency": "flops_executed"}, "give either"),
        ({"expected": "equal"}, "expected"),
        ({"against": None, "expected": None, "currency": "flops_executed", "at_least": 0}, "greater than 0"),
        ({"because": "of a test"}, "give either"),
        ({"against": None, "expected": None, "saved": "money", "at_least": 0}, "unknown cost 'money'"),
        ({"against": None, "expected": None, "currency": "money", "at_least": 1}, "unknown currency 'money'"),
    ],
)
def test_a_case_that_says_nothing_to_decide_is_refused(tmp_path, changed, said):
    entry = OF_ACCURACY | {"expected": "better"} | changed
    lines = [f"  {key}: {value}" for key, value in entry.items() if value is not None]
    file = tmp_path / "cases.yaml"
    file.write_text("\n".join(["mine:", *lines]) + "\n")
    with pytest.raises(FrugalError, match=said) as refused:
        k.read_cases(file)
    assert str(file) in str(refused.value)
