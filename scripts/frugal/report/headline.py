"""The tables of every report: what was run, the headline table; and the author's figures as they were reported."""

import html
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from frugal.errors import FrugalError
from frugal.report.audit import FAILED
from frugal.report.costs import COSTS, worth_a_column
from frugal.report.load import Comparison
from frugal.report.sentences import points
from frugal.study import Study

HOLM = "Holm's correction over {} strategies"
REPORTED = ["run", "strategy", "dataset", "metric", "value", "source"]


def with_interval(row: pd.Series, metric: str, scale: float, digits: int, difference: str = "") -> str:
    """A mean and the half width of its 95 % interval, e.g. 98.91 ± 0.12."""
    mean, low, high = (row[f"{metric}{difference}_{part}"] * scale for part in ("mean", "low", "high"))
    if pd.isna(mean):
        return "–"
    half = f"<small> ± {(high - low) / 2:.{digits}f}</small>" if pd.notna(low) else ""
    return f"{mean:.{digits}f}{half}"


def whole_percent(share: float) -> str:
    """A share in whole per cent, for a column of many; a dash where it is not known."""
    return "–" if pd.isna(share) else f"{round(100 * share)} %".replace("-", "\N{MINUS SIGN}")


def pill(verdict: str, reason: str) -> str:
    """A verdict as a coloured word; its reason shows on hovering."""
    word, told = verdict.split()[0], html.escape(f"{verdict}: {reason}", quote=True)
    return f'<span class="verdict {word}" title="{told}">{word}</span>'


def named(study: Study, strategy: str) -> str:
    """A strategy's name as code; its label shows on hovering."""
    label = html.escape(study.labels.get(strategy, ""), quote=True)
    return f'<code title="{label}">{html.escape(strategy)}</code>'


def headline_table(compared: Comparison) -> pd.DataFrame:
    """A row per strategy: accuracies, what was saved, and the verdicts. Cells are HTML."""
    fidelity, costs, rows = compared.fidelity_differs, worth_a_column(compared.summary, compared.study.cost), []
    for _, row in compared.summary.iterrows():
        baseline = row["strategy"] == compared.study.baseline
        cells = {
            "strategy": named(compared.study, row["strategy"]),
            f"accuracy{', own fidelity' * fidelity}": with_interval(row, "test_accuracy", 100, 2),
            "points": "" if baseline else points(row["test_accuracy_difference_mean"]),
            "verdict": pill(row["verdict"], row["verdict_reason"]),
        }
        if len(compared.summary) > 2:
            cells["cor&shy;rected"] = pill(row["verdict_corrected"], HOLM.format(len(compared.summary) - 1))
        if fidelity:
            cells |= {
                "accuracy, un&shy;compressed": with_interval(row, "test_accuracy_full_fidelity", 100, 2),
                "verdict ": pill(row["verdict_full_fidelity"], row["verdict_full_fidelity_reason"]),
                "com&shy;pression": f"{row['compression_ratio_mean']:.2f}",
            }
        rows.append(cells | {COSTS[cost].saved: whole_percent(row[f"{cost}_saved_mean"]) for cost in costs})
    return pd.DataFrame(rows)


def _values(runs: pd.DataFrame, column: str) -> str:
    values = runs[column].dropna().unique()
    values = [f"{value:,}" if isinstance(value, (int, np.integer)) else str(value) for value in values]
    return ", ".join(values) if values else "none"


def _recipes(runs: pd.DataFrame) -> str:
    """The recipe of most runs, as their records say, and what others have of their own; empty where no record says."""
    if "recipe" not in runs:  # tables of before it was written into them
        return ""
    said = {text: json.loads(text) for text in runs["recipe"].value_counts().index}
    shown = {
        text: {k: v for k, v in recipe.items() if v is not None and not isinstance(v, (dict, list))}
        for text, recipe in said.items()
    }
    most = next(iter(shown.values()))
    parts = [_listed(most)]
    for text, recipe in list(shown.items())[1:]:
        of = runs[runs["recipe"] == text]
        own = {key: recipe.get(key, "not set") for key in {**most, **recipe} if recipe.get(key) != most.get(key)}
        names = (of["dataset"] + "/" + of["model"] + " " + of["strategy"]).unique()
        parts += [f"{', '.join(names)}: {_listed(own)}"] if own else []
    return "; ".join(parts)


def _listed(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in settings.items())


def setting(study: Study, compared: list[Comparison]) -> pd.DataFrame:
    """What was run, as two columns; read from the records, so that it is what happened and not what was planned."""
    runs = pd.concat([one.runs for one in compared])
    commits = ", ".join(
        f"{str(commit)[:10]}{' (with uncommitted changes)' if str(dirty) == 'True' else ''}"
        for commit, dirty in runs[["git_commit", "git_dirty"]].drop_duplicates().itertuples(index=False)
        if pd.notna(commit)
    )
    made = {one.dataset for one in compared if one.generated}
    metered = runs["energy_joules"].notna().sum()
    energy = f"measured on {metered} of {len(runs)} runs" if metered else "not measured"
    machines = [
        f"{one.cpu}, {one.cores} cores, {one.threads} thread{'s' * (one.threads > 1)} per run, on {one.device}"
        for one in runs[["cpu", "cores", "threads", "device"]].drop_duplicates().itertuples(index=False)
    ]
    models = [f"{model} ({_values(runs[runs['model'] == model], 'parameters')} parameters)" for model in study.models]
    facts = {
        "scale": study.scale,
        "data": ", ".join(
            name + " (generated by a program, not collected)" * (name in made) for name in study.datasets
        ),
        "model": ", ".join(models),
        "recipe": _recipes(runs) or "not in the records",
        "runs": f"{len(runs)}: {len(study.strategies)} strategies, seeds {_values(runs.sort_values('seed'), 'seed')}",
        "machine": "; ".join(machines),
        "GPU": _values(runs, "gpu"),
        "made": f"{runs['started'].min()[:16].replace('T', ' ')} to {runs['ended'].max()[:16].replace('T', ' ')} UTC",
        "code": f"commit {commits}" if commits else "not under git",
        "energy": f"{energy} ({_values(runs, 'energy_source')})",
        "memory": f"{_values(runs, 'peak_memory_source')}",
    }
    failed = [row for one in compared for row in one.audit[one.audit["finding"] == FAILED].itertuples(index=False)]
    if failed:
        facts["failed"] = "; ".join(f"{row.dataset}/{row.model}/{row.runs}: {row.detail}" for row in failed)
    if study.skipped:
        facts["not run"] = "; ".join(f"{one.strategy} on {one.dataset}/{one.model}: {one.why}" for one in study.skipped)
    return pd.DataFrame([{"": f"<b>{key}</b>", " ": html.escape(value)} for key, value in facts.items()])


def read_reported(path: str | Path) -> pd.DataFrame:
    """The author's figures, a row per run and metric; an empty value was never reported. Raises FrugalError for another table."""
    try:
        reported = pd.read_csv(path, dtype={"run": str})
    except (OSError, ValueError) as error:
        raise FrugalError(f"the reported figures {path} cannot be read ({error}); restore the file from git") from error
    missing = [column for column in REPORTED if column not in reported]
    if missing:
        raise FrugalError(f"the reported figures {path} lack the column {missing[0]}; restore the file from git")
    return reported
