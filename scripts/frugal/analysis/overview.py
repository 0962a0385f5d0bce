"""The tables of a report: what was run, the headline table, and what the author reported beside what we measured."""

import html
from pathlib import Path

import numpy as np
import pandas as pd

from frugal.analysis.comparison import Comparison
from frugal.analysis.findings import percent, points
from frugal.errors import FrugalError
from frugal.study import Study

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


def _name(study: Study, strategy: str) -> str:
    label = html.escape(study.labels.get(strategy, ""), quote=True)
    return f'<code title="{label}">{html.escape(strategy)}</code>'


def headline_table(compared: Comparison) -> pd.DataFrame:
    """A row per strategy: accuracies, what was saved, and the verdicts. Cells are HTML."""
    rows = []
    for _, row in compared.summary.iterrows():
        baseline = row["strategy"] == compared.study.baseline
        saved = {
            name: whole_percent(row[f"{cost}_saved_mean"])
            for name, cost in (
                ("bytes saved", "bytes_read"),
                ("FLOPs saved", "flops_executed"),
                ("seconds saved", "train_seconds"),
                ("memory saved", "peak_memory_bytes"),
            )
        }
        rows.append(
            {
                "strategy": _name(compared.study, row["strategy"]),
                "accuracy, own fidelity": with_interval(row, "test_accuracy", 100, 2),
                "points": "" if baseline else points(row["test_accuracy_difference_mean"]),
                "verdict": pill(row["verdict"], row["verdict_reason"]),
                "accuracy, un&shy;compressed": with_interval(row, "test_accuracy_full_fidelity", 100, 2),
                "verdict ": pill(row["verdict_full_fidelity"], row["verdict_full_fidelity_reason"]),
                "com&shy;pression": f"{row['compression_ratio_mean']:.2f}",
                **saved,
            }
        )
    return pd.DataFrame(rows)


def _values(runs: pd.DataFrame, column: str) -> str:
    values = runs[column].dropna().unique()
    values = [f"{value:,}" if isinstance(value, (int, np.integer)) else str(value) for value in values]
    return ", ".join(values) if values else "none"


def setting(study: Study, compared: list[Comparison]) -> pd.DataFrame:
    """What was run, as two columns; read from the records, so that it is what happened and not what was planned."""
    runs = pd.concat([one.runs for one in compared])
    plain = {key: value for key, value in study.recipe.items() if not isinstance(value, (dict, list))}
    recipe = ", ".join(key.replace("_", " ") + f" {value}" for key, value in plain.items())
    commits = ", ".join(
        f"{str(commit)[:10]}{' (with uncommitted changes)' if str(dirty) == 'True' else ''}"
        for commit, dirty in runs[["git_commit", "git_dirty"]].drop_duplicates().itertuples(index=False)
        if pd.notna(commit)
    )
    metered = runs["energy_joules"].notna().sum()
    energy = f"measured on {metered} of {len(runs)} runs" if metered else "not measured"
    machines = [
        f"{one.cpu}, {one.cores} cores, {one.threads} thread{'s' * (one.threads > 1)} per run, on {one.device}"
        for one in runs[["cpu", "cores", "threads", "device"]].drop_duplicates().itertuples(index=False)
    ]
    models = [f"{model} ({_values(runs[runs['model'] == model], 'parameters')} parameters)" for model in study.models]
    facts = {
        "scale": study.scale,
        "data": ", ".join(study.datasets),
        "model": ", ".join(models),
        "recipe": recipe or "see config/studies",
        "runs": f"{len(runs)}: {len(study.strategies)} strategies, seeds {', '.join(map(str, study.seeds))}",
        "machine": "; ".join(machines),
        "GPU": _values(runs, "gpu"),
        "made": f"{runs['started'].min()[:16].replace('T', ' ')} to {runs['ended'].max()[:16].replace('T', ' ')} UTC",
        "code": f"commit {commits}" if commits else "not under git",
        "energy": f"{energy} ({_values(runs, 'energy_source')})",
        "memory": f"{_values(runs, 'peak_memory_source')}",
    }
    return pd.DataFrame([{"": f"<b>{key}</b>", " ": html.escape(value)} for key, value in facts.items()])


def read_reported(path: str | Path) -> pd.DataFrame:
    """The author's figures, a row per run and metric; an empty value was never reported."""
    try:
        reported = pd.read_csv(path, dtype={"run": str})
    except (OSError, ValueError) as error:
        raise FrugalError(f"the reported figures {path} cannot be read ({error}); restore the file from git") from error
    missing = [column for column in REPORTED if column not in reported]
    if missing:
        raise FrugalError(f"the reported figures {path} lack the column {missing[0]}; restore the file from git")
    return reported


def reported_and_measured(compared: Comparison, reported: pd.DataFrame) -> pd.DataFrame:
    """The author's accuracy and time beside ours, per run of the author; ratios to the first run, since machines differ."""
    wide = reported.pivot(index=["run", "strategy"], columns="metric", values="value").reset_index()
    summary = compared.summary.set_index("strategy")
    first = wide.iloc[0]
    dataset = ", ".join(reported["dataset"].unique())
    rows = []
    for _, run in wide.iterrows():
        ours = summary.loc[run["strategy"]] if run["strategy"] in summary.index else None
        known = pd.notna(run["test_accuracy"])
        row = {
            "run": run["run"],
            "strategy": _name(compared.study, run["strategy"]),
            f"reported ({dataset}): accuracy %": f"{100 * run['test_accuracy']:.2f}" if known else "never run",
            f"measured ({compared.dataset}): accuracy %": "–"
            if ours is None
            else with_interval(ours, "test_accuracy", 100, 2),
            "reported: seconds": f"{run['train_seconds']:.2f}" if known else "never run",
            "measured: seconds": "–" if ours is None else with_interval(ours, "train_seconds", 1, 2),
            "reported: time to run 0": f"{run['train_seconds'] / first['train_seconds']:.2f}" if known else "–",
        }
        base = summary["train_seconds_mean"].get(first["strategy"])
        row["measured: time to run 0"] = (
            "–" if ours is None or base is None else f"{ours['train_seconds_mean'] / base:.2f}"
        )
        row["measured: compression"] = "–" if ours is None else f"{ours['compression_ratio_mean']:.2f}"
        rows.append(row)
    return pd.DataFrame(rows)


def why_they_differ(compared: Comparison, reported: pd.DataFrame) -> str:
    """One paragraph of markdown: what cannot be right in the reported figures, and what ours say instead."""
    accuracies = reported.loc[reported["metric"] == "test_accuracy"].dropna(subset=["value"])
    seconds = reported[reported["metric"] == "train_seconds"].dropna(subset=["value"]).set_index("run")["value"]
    ours = compared.summary.set_index("strategy")["test_accuracy_mean"]
    ours = ours[ours.index.isin(reported["strategy"])]
    alike = accuracies["value"].nunique() == 1
    same = f"{len(accuracies)} runs share one accuracy, {100 * accuracies['value'].iloc[0]:.2f} %, " if alike else ""
    measured = (
        f"Here, where the bytes read are counted where they are read, the same strategies lie between {percent(ours.min(), 2)} "
        f"(`{ours.idxmin()}`) and {percent(ours.max(), 2)} (`{ours.idxmax()}`)"
    )
    first = reported["dataset"].iloc[0]
    other = "" if compared.dataset in set(reported["dataset"]) else f", on {compared.dataset} rather than {first}"
    curves = compared.audit[compared.audit["finding"] == "identical loss curves"]
    apart = (
        "no two of our runs share a loss curve"
        if curves.empty
        else "the audit above lists the runs that share a loss curve"
    )
    return (
        f"**Why they differ.** The source's {same}to the last digit and with two very different bit rates: the adaptive masks "
        "never reached the network. Its code most likely guards the adaptive branch by a history that only that branch fills, "
        "and applies a row FFT and a column FFT of which it cuts a flattened row, instead of the low-frequency corner of a DCT. "
        f"Its times ({seconds.min():.0f} to {seconds.max():.0f} s) then compare runs that did the same work, and the text calls "
        f"{seconds['4']:.1f} s slower than {seconds['3']:.1f} s. Run 5 is described there and was never run; we ran it. "
        f"{measured}{other}, and {apart}. Absolute seconds belong to each machine; only the ratios can be compared."
    )
