"""What the pruning study says beyond what every study says: its source's metrics, what was removed, and what that saved."""

import pandas as pd

from frugal.report.costs import COSTS
from frugal.report.headline import named, with_interval
from frugal.report.load import Comparison
from frugal.report.pruning_figures import left_by_layer, short
from frugal.report.sentences import listed, percent, points
from frugal.report.statistics import intervals

CELL = ["dataset", "model", "strategy"]
# Of runs.csv: heading, scale, digits. Those that a task does not have are left out of its table.
SCORES = {
    "test_accuracy": ("accuracy %", 100, 2),
    "test_f1": ("macro F1 %", 100, 2),
    "test_wer": ("WER %", 100, 1),
    "test_cer": ("CER %", 100, 1),
}
COUNTS = {
    "live_parameters": "live para&shy;meters",
    "flops_forward_per_sample": "FLOPs of a sample",
    "flops_executed": "FLOPs executed",
    "peak_memory_bytes": "peak memory, B",
}
SECONDS = {"train_seconds": ("training, s", 1), "inference_seconds": ("inference on test, ms", 1000)}


def source_metrics(compared: Comparison) -> pd.DataFrame:
    """The source's metrics, a row per strategy, means with 95 % intervals; counts in engineering notation. Cells are HTML."""
    scores = {name: told for name, told in SCORES.items() if compared.runs.get(name, pd.Series()).notna().any()}
    found = intervals(compared.runs[[*CELL, *scores, *COUNTS, *SECONDS]], CELL).reset_index().set_index("strategy")
    rows = []
    for strategy in compared.study.strategies:
        row = found.loc[strategy]
        cells = {"strategy": named(compared.study, strategy)}
        cells |= {heading: with_interval(row, name, scale, digits) for name, (heading, scale, digits) in scores.items()}
        cells |= {heading: with_interval(row, name, scale, 1) for name, (heading, scale) in SECONDS.items()}
        cells |= {
            heading: "–" if pd.isna(row[f"{name}_mean"]) else COSTS["live_parameters"].told(row[f"{name}_mean"])
            for name, heading in COUNTS.items()
        }
        rows.append(cells)
    return pd.DataFrame(rows)


def removed(compared: Comparison) -> str:
    """What each strategy removed and when, what of it the clock saw, and where it was left at its floor; markdown."""
    lines, study = [], compared.study
    base = compared.runs[compared.runs["strategy"] == study.baseline].set_index("seed")
    for strategy in study.strategies:
        history = compared.history[compared.history["strategy"] == strategy]
        if "removals" not in history or history["removals"].isna().all():
            continue
        last = history.sort_values("epoch").groupby("seed").last()
        if not last["removals"].max():
            lines.append(f"- `{strategy}` removed nothing: no neuron met its rule. Its runs are the baseline's.")
            continue
        runs = compared.runs[compared.runs["strategy"] == strategy].set_index("seed")
        shares = {
            column: (runs[column] / base[column]).mean()
            for column in ("live_parameters", "flops_forward_per_sample", "flops_executed", "train_seconds")
        }
        events = f"{last['removals'].min():.0f} to {last['removals'].max():.0f} events"
        if last["removals"].nunique() == 1:
            events = f"{last['removals'].iloc[0]:.0f} events"
        floor = last["layers_at_floor"].max()
        lines.append(
            f"- `{strategy}`, in {events}: {percent(shares['live_parameters'], 1)} of the parameters and "
            f"{percent(shares['flops_forward_per_sample'], 1)} of a sample's FLOPs are left; the training executed "
            f"{percent(shares['flops_executed'], 1)} of the baseline's FLOPs and took {percent(shares['train_seconds'], 1)} "
            f"of its seconds{_late(compared, strategy)}"
            + (f"; layers that ended at their floor: {floor:.0f}." if floor else "; no layer is at its floor.")
        )
    return "\n".join(lines) or "No strategy removes neurons while it trains."


def _late(compared: Comparison, strategy: str) -> str:
    """What an epoch after the last removal took, over the baseline's epochs; empty where none came after it."""
    history = compared.history.sort_values("epoch")
    ratios = []
    for seed, run in history[history["strategy"] == strategy].groupby("seed"):
        seconds = run["train_seconds"].diff().fillna(run["train_seconds"])
        settled = run["removals"].shift(fill_value=-1) == run["removals"].iloc[-1]  # the whole epoch at the last width
        base = history[(history["strategy"] == compared.study.baseline) & (history["seed"] == seed)]
        if settled.any() and len(base):
            ratios.append(seconds[settled].mean() / (base["train_seconds"].iloc[-1] / len(base)))
    if not ratios:
        return ""
    return f" (an epoch after the last removal {percent(sum(ratios) / len(ratios), 1)} of a baseline's)"


def hardest_hit(compared: Comparison) -> str:
    """Which layers lost most and which least."""
    said = []
    for strategy in compared.study.strategies:
        grid = left_by_layer(compared, strategy)
        if grid is not None:
            last = grid.iloc[:, -1].sort_values(kind="stable")
            most, least = last.index[0], last.index[-1]
            said.append(
                f"`{strategy}` took most from `{short(most, False)}` ({percent(last[most])} left) and least from "
                f"`{short(least, False)}` ({percent(last[least])} left)."
            )
    return " ".join(said)


def reported_and_measured(compared: list[Comparison], reported: pd.DataFrame) -> pd.DataFrame:
    """The author's figures, which are of unknown runs, and ours of each data set and model. Cells are HTML."""
    rows = [
        {
            "": f"reported, {row.run}",
            "strategy": row.strategy,
            "accuracy %": f"{100 * row.value:.2f}" if row.metric == "test_accuracy" else "–",
            "other": "" if row.metric == "test_accuracy" else f"{row.metric.replace('_', ' ')} {row.value:.6g}",
        }
        for row in reported.itertuples()
    ]
    for one in compared:
        for _, row in one.summary.iterrows():
            baseline = row["strategy"] == one.study.baseline
            difference = "" if baseline else f"<small> ({points(row['test_accuracy_difference_mean'])})</small>"
            rows.append(
                {
                    "": f"measured, {one.dataset} {one.model}",
                    "strategy": f"<code>{row['strategy']}</code>",
                    "accuracy %": with_interval(row, "test_accuracy", 100, 2) + difference,
                    "other": f"test loss {one.runs[one.runs['strategy'] == row['strategy']]['test_loss'].mean():.4g}",
                }
            )
    return pd.DataFrame(rows)


def what_to_trust(compared: list[Comparison], reported: pd.DataFrame) -> str:
    """One paragraph of markdown: what the source's figures cannot show, and what was measured here instead."""
    figures = reported[reported["metric"].isin(["test_accuracy", "test_loss"])]
    told = listed([f"{row.metric.replace('test_', '')} {row.value:.15g}" for row in figures.itertuples()][:2])
    ours = listed([f"{one.dataset} with {one.model}" for one in compared])
    return (
        "**What the reported figures cannot show.** The source names four data sets and nets and reports one evaluation, of an "
        f"unnamed run on an unnamed data set: {told}. Source 001, on sparse layers, reports the same two numbers to the last "
        "digit, so they are of neither experiment. The code it shows fine-tunes a language model, with nothing in it that "
        "removes a neuron, and its benchmark is at chance. There is no baseline, no parameter count, no time and no memory to "
        f"compare with. What stands beside it here was measured on {ours}."
    )
