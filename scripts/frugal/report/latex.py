"""Summary of a study as LaTeX: one table for each data set and net, to be taken into a paper with `\\input`.

It needs booktabs, and longtable where a table is longer than a page. Everything in it is in summary.csv and runs.csv; the caption
says what it is of and from which commit.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from frugal.report.budget_curve import currency
from frugal.report.costs import COSTS
from frugal.study import Study

HEAD = "% Made from summary.csv and runs.csv, which lie beside it. In the preamble: \\usepackage{booktabs,longtable}\n"
PAGE = 40  # rows that a page holds
SPECIAL = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"},
        **{"<": r"\textless{}", ">": r"\textgreater{}", "\N{MULTIPLICATION SIGN}": r"$\times$"},
    }
)
UNKNOWN = "--"


def escaped(text: str) -> str:
    """Text in which LaTeX finds no commands."""
    return text.translate(SPECIAL)


def latex(study: Study, runs: pd.DataFrame, summary: pd.DataFrame) -> str:
    """The content of summary.tex. runs, summary: as in the tables of that name."""
    return "\n".join([HEAD, *_tables(study, runs, summary)])


def _tables(study: Study, runs: pd.DataFrame, summary: pd.DataFrame) -> Iterator[str]:
    paid = currency(study)
    for (dataset, model), rows in summary.groupby(["dataset", "model"], sort=False):
        own = runs[(runs["dataset"] == dataset) & (runs["model"] == model)]
        saved = rows[f"{study.cost}_saved_mean"]
        shown = pd.DataFrame(
            {
                "Strategy": [rf"\texttt{{{escaped(name)}}}" for name in rows["strategy"]],
                r"Accuracy, \%": _ended(rows, "test_accuracy_{}", 100),
                "Difference": _ended(rows, "test_accuracy_difference_{}", 100, sign="+"),
                r"Saved, \%": [UNKNOWN if pd.isna(share) else f"${100 * share:.1f}$" for share in saved],
                "Exchange rate": _rates(rows, paid),
                "Verdict": [escaped(verdict.split()[0]) for verdict in rows["verdict"]],
            }
        )
        long = len(rows) > PAGE
        place = {"environment": "longtable"} if long else {"position": "htbp", "position_float": "centering"}
        made = shown.style.hide(axis="index").to_latex(
            hrules=True,
            column_format="lrrrrl",
            caption=_caption(study, own, f"{dataset}, {model}", paid),
            label=f"tab:{study.name}-{study.scale}-{dataset}-{model}",
            **place,
        )
        yield f"{{\\footnotesize\n{made}}}\n" if long else made.replace("\\centering\n", "\\centering\\footnotesize\n")


def _caption(study: Study, runs: pd.DataFrame, where: str, paid: str) -> str:
    seeds = ", ".join(map(str, sorted(runs["seed"].unique())))
    title = f"{study.title.rstrip('.')}: {where} (study {study.name}, scale {study.scale}, seeds {seeds}, {_commits(runs)})."
    how = (
        f"Test accuracy, mean over seeds with its 95 % interval; its difference to {study.baseline} in points, with simultaneous "
        f"95 % intervals; the share of {COSTS[study.cost].noun} saved; the exchange rate is what the baseline, trained for less, "
        f"would have to spend of {COSTS[paid].noun} for the same accuracy, over what was spent. Equal: within "
        f"{100 * study.margin:g} points."
    )
    return escaped(f"{title} {how}")


def _commits(runs: pd.DataFrame) -> str:
    """What the runs were made from."""
    known = runs.groupby("git_commit", sort=False)["git_dirty"].any()
    told = [commit[:12] + " with changes that are not committed" * bool(dirty) for commit, dirty in known.items()]
    told += ["a commit that is not known"] * bool(runs["git_commit"].isna().any())
    return f"{'commit' if len(told) == 1 else 'commits'} {', '.join(told)}"


def _ended(rows: pd.DataFrame, name: str, scale: float, sign: str = "") -> list[str]:
    """Means with their intervals, e.g. $98.71$ $[98.52, 98.90]$."""
    mean, low, high = (scale * rows[name.format(part)].astype(float) for part in ("mean", "low", "high"))
    return [_with_interval(*values, sign) for values in zip(mean, low, high, strict=True)]


def _rates(rows: pd.DataFrame, paid: str) -> list[str]:
    parts = [f"{paid}_exchange_{part}" for part in ("rate", "low", "high", "bound")]
    return [
        (f"${bound}$ " if isinstance(bound, str) and bound else "") + _with_interval(rate, low, high)
        for rate, low, high, bound in rows[parts].itertuples(index=False)
    ]


def _with_interval(value: float, low: float, high: float, sign: str = "") -> str:
    if pd.isna(value):
        return UNKNOWN
    ends = "" if pd.isna(low) else f" $[{_number(low, sign)}, {_number(high, sign)}]$"
    return f"${_number(value, sign)}${ends}"


def _number(value: float, sign: str = "") -> str:
    return r"\infty" if np.isinf(value) else f"{value:{sign}.2f}"
