"""What is taken along with a result: each column of the tables says what it is, and the summary is LaTeX that compiles."""

import ast
import csv
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from frugal.report.columns import DICTIONARY, column
from frugal.report.history_columns import EVIDENCE, FAMILIES
from frugal.report.latex import escaped, latex
from report import factory

ROOT = Path(__file__).parents[2]
STRATEGIES = ROOT / "scripts/frugal/strategies"


def written_by_strategies():
    """Names of columns in what `evidence` and `trace` of each strategy return."""
    found = set()
    for file in STRATEGIES.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name in ("evidence", "trace"):
                keys = [key for one in ast.walk(node) if isinstance(one, ast.Dict) for key in one.keys]
                keys += [one.generators[0].iter for one in ast.walk(node) if isinstance(one, ast.DictComp)]
                for key in keys:
                    constants = [one.value for one in ast.walk(key) if isinstance(one, ast.Constant)] if key else []
                    found |= {f"{word}5" if isinstance(key, ast.JoinedStr) else word for word in constants}
    return found


def test_every_column_is_in_the_dictionary_and_the_other_way_round(results):
    tables = [*ROOT.glob("results/shown/*/tables/*/*.csv"), *results.glob("tables/*/*.csv")]
    seen = {name: set() for name in DICTIONARY}
    for file in tables:
        with open(file, newline="", encoding="utf-8") as text:
            seen[file.stem] |= set(next(csv.reader(text)))
    logged = written_by_strategies()
    assert {"pruned_share", "kept_tokens", "kept_share"} <= logged, "this test looks in the right place"
    seen["history"] |= logged
    seen["history"] |= {"val_balanced_accuracy", "test_balanced_accuracy"}  # `Scores` has it, no shown table yet
    seen["trace"] |= {"kept_share", "expected_share", "threshold", "tracking_error", "activation_rate"} & logged
    for table, names in seen.items():
        assert [name for name in names if column(table, name) is None] == []
        assert set(DICTIONARY[table]) - names == set()
    assert set(EVIDENCE) <= seen["history"]
    for family in FAMILIES:
        assert any(re.fullmatch(family, name) for name in seen["history"])
    for entries in DICTIONARY.values():
        for entry in entries.values():
            assert entry.type in ("string", "integer", "number", "boolean", "datetime")
            assert entry.meaning


def test_the_data_package_describes_the_files_as_they_are(results):
    folder = results / "tables/compression"
    package = json.loads((folder / "datapackage.json").read_text())
    assert package["name"] == "compression-demo"
    assert {one["name"] for one in package["resources"]} == {file.stem for file in folder.glob("*.csv")}
    for resource in package["resources"]:
        table = pd.read_csv(folder / resource["path"])
        fields = resource["schema"]["fields"]
        assert [field["name"] for field in fields] == list(table.columns)
        for field in fields:
            values = table[field["name"]].dropna()
            if field["type"] == "integer" and len(values):
                assert pd.api.types.is_integer_dtype(values)
            if field["type"] == "number":
                pd.to_numeric(values)


def test_the_summary_as_latex_has_a_row_per_strategy_with_names_escaped(results, study):
    folder = results / "tables/compression"
    text = (folder / "summary.tex").read_text()
    runs, summary = pd.read_csv(folder / "runs.csv"), pd.read_csv(folder / "summary.csv")
    odd = summary.assign(strategy=summary["strategy"].replace("ema-4-16", "a@b_c=50%"))
    titled = study.model_copy(update={"title": "Bits & pieces"})
    for made, name in ((text, "ema-4-16"), (latex(titled, runs, odd), r"a@b\_c=50\%")):
        begun, ended = re.findall(r"\\begin\{(\w+)\}", made), re.findall(r"\\end\{(\w+)\}", made)
        assert begun == ["table", "tabular"]
        assert ended == begun[::-1]
        body = made[made.index(r"\midrule") : made.index(r"\bottomrule")].splitlines()[1:]
        assert len(body) == len(study.strategies)
        assert all(re.sub(r"\\&", "", row).count("&") == 5 and row.endswith(r" \\") for row in body)
        assert made.count("$") % 2 == 0
        assert sum(rf"\texttt{{{name}}}" in row for row in body) == 1
        (caption,) = re.findall(r"\\caption\{(.*)\}", made)
        for part in ("study compression", "scale demo", "seeds 0, 1, 2", "commit"):
            assert part in caption
        assert not re.search(r"(?<!\\)[&%#_]", caption)
    assert r"Bits \& pieces" in caption
    row = summary.set_index("strategy").loc["ema-4-16"]
    assert f"${100 * row['test_accuracy_mean']:.2f}$" in text
    assert rf"$[{100 * row['test_accuracy_low']:.2f}, {100 * row['test_accuracy_high']:.2f}]$" in text


def test_a_long_summary_goes_over_pages(make_tables):
    _, tables, folder = make_tables(of=factory.with_budgets)
    text = (folder / "summary.tex").read_text()
    paid = tables.summary.set_index("strategy").loc["infobatch"]
    assert f"${paid['samples_backpropagated_exchange_rate']:.2f}$ $[" in text
    many = pd.concat([tables.summary] * 20)
    assert r"\begin{longtable}" in latex(tables.study, tables.runs, many)


@pytest.mark.parametrize(
    ("text", "shown"), [("a\\b", r"a\textbackslash{}b"), ("x^2~{}", r"x\textasciicircum{}2\textasciitilde{}\{\}")]
)
def test_signs_of_latex_are_escaped_once(text, shown):
    assert escaped(text) == shown
