"""The page of verdicts over all data and nets that are shown: it is made from their tables, and of all of them."""

import json
import shlex
import shutil
from pathlib import Path

from frugal.report.known_outcomes import FILE, NOT_FOUND, NOT_RUN, Case, Outcome, outcomes, read_cases
from frugal.report.verdicts_page import verdicts_page
from report import factory

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


def test_a_row_in_cpu_seconds_says_where_these_are_uncertain(make_tables):
    def slow_controls(root):
        """Controls that take half as long again for each FLOP, of what the plain net does less of."""
        for file in root.glob("digits/cnn-tiny/random-subset/*/metrics.json"):
            figures = json.loads(file.read_text())
            file.write_text(json.dumps(figures | {"cpu_seconds": 1.5 * figures["cpu_seconds"]}))

    def measured(spoil, **case):
        study, _, folder = make_tables(spoil, of=factory.with_budgets)
        cases = [CLAIM.model_copy(update={"study": study.name, "strategy": "infobatch"} | case)]
        results = folder.parent / "results"
        shutil.rmtree(results, ignore_errors=True)
        shutil.copytree(folder, results / "tables" / study.name)
        found = outcomes(cases, results)
        assert found[0].seeds == 3
        return "CPU seconds are uncertain there" in verdicts_page(found, "a command", results, "a.png")

    assert measured(slow_controls, currency="cpu_seconds")
    assert measured(slow_controls, currency=None, saved="cpu_seconds")
    assert not measured(slow_controls)
    assert not measured(lambda root: None, currency="cpu_seconds")
