"""The page of verdicts over all data and nets that are shown: it is made from their tables, and of all of them."""

import shlex
from pathlib import Path

from frugal.report.known_outcomes import FILE, NOT_FOUND, NOT_RUN, Case, Outcome, outcomes, read_cases
from frugal.report.verdicts_page import verdicts_page

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "results/shown/verdicts.md"
CLAIM = Case(
    case="a claim", study="cross", strategy="a", currency="flops_executed", at_least=1, kind="claimed", source="a paper"
)


def test_the_kept_page_is_what_its_command_makes_of_the_kept_tables(monkeypatch):
    monkeypatch.chdir(ROOT)
    kept = PAGE.read_text(encoding="utf-8")
    command = kept.split("*Made by* `")[1].split("`")[0]
    words = shlex.split(command)
    folders = [Path(word) for word in words[words.index("--results") + 1 : words.index("--page")]]
    assert set(folders) == {table.parents[2] for table in Path("results/shown").glob("*/tables/cross/budgets.csv")} - {
        Path("results/shown/demo")
    }
    assert (
        verdicts_page(outcomes(read_cases(FILE), *folders), command, PAGE.relative_to(ROOT).parent, "verdicts.png")
        == kept
    ), f"made anew by: {command}"


def test_a_claim_is_told_once_with_a_row_for_each_data_set_and_net(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here/README.md").touch()
    trials = [
        Outcome(CLAIM, "digits/cnn", "0.9 (0.8 to 0.95)", NOT_FOUND, 5, tmp_path / "here"),
        Outcome(CLAIM, "letters/cnn", "0.7 (0.6 to 0.8)", NOT_FOUND, 5, tmp_path / "elsewhere"),
        Outcome(CLAIM.model_copy(update={"case": "another"}), "digits/cnn", "no run", NOT_RUN),
    ]
    page = verdicts_page(trials, "a command", tmp_path, "a.png")
    assert page.count("a claim: exchange rate at least 1 in FLOPs") == 1
    assert "| [digits/cnn](here/README.md) | 5 | 0.9 (0.8 to 0.95) | \N{MULTIPLICATION X} refuted |" in page
    assert "| letters/cnn | 5 |" in page
    assert "claims about cost: 2 refuted\n" in page
    assert "## Tried nowhere yet\n\n- another\n" in page
