"""What the sparsity study says beyond what every study says: its source's five figures, and each against a narrow net."""

import pandas as pd

from frugal.report.headline import named, with_interval
from frugal.report.load import Comparison
from frugal.report.sentences import listed, percent, points
from frugal.report.statistics import intervals, paired

CELL = ["dataset", "model", "strategy"]
FIGURES = {  # of the source: heading, unit in the record's own, digits
    "peak_memory_bytes": ("peak memory, MB", 1e-6, 0),
    "train_seconds": ("training, s", 1, 1),
    "inference_seconds": ("inference, s", 1, 2),
    "model_bytes": ("model, MB", 1e-6, 3),
    "optimizer_bytes": ("optimizer, MB", 1e-6, 3),
}
NOUNS = {"train_seconds": "training", "inference_seconds": "inference"}


def sparsity_of(compared: Comparison, strategy: str) -> float | None:
    """Share of the weights that a strategy leaves out, or that a control matches; None for one that leaves out nothing."""
    given = compared.study.parameters.get(strategy, {})
    return given.get("sparsity", given.get("match"))


def narrow_for(compared: Comparison, strategy: str) -> str | None:
    """The narrow net of as many parameters as a sparse strategy keeps, or None."""
    wanted = sparsity_of(compared, strategy)
    controls = [name for name in compared.study.controls if sparsity_of(compared, name) == wanted]
    return controls[0] if controls and wanted is not None and strategy not in compared.study.controls else None


def five_figures(compared: Comparison) -> pd.DataFrame:
    """A row per strategy: accuracy, peak memory, training and inference time, model size, with intervals. Cells are HTML."""
    rows = []
    for _, row in compared.summary.iterrows():
        cells = {
            "strategy": named(compared.study, row["strategy"]),
            "test accuracy %": with_interval(row, "test_accuracy", 100, 2),
        }
        for column, (heading, scale, digits) in FIGURES.items():
            cells[heading] = with_interval(row, column, scale, digits)
        rows.append(cells)
    return pd.DataFrame(rows)


def ratios(compared: Comparison, to: dict[str, str]) -> pd.DataFrame:
    """Each strategy over another one, paired by seed. to: strategy -> the other.

    returns: a row per strategy; column other, test_accuracy (difference) and each of FIGURES (ratio) as _mean, _low, _high
    """
    runs = compared.runs[[*CELL, "seed", "test_accuracy", *FIGURES]]
    mine = runs[runs["strategy"].isin(to)]
    theirs = runs.rename(columns={"strategy": "other"})
    mine = mine.assign(other=mine["strategy"].map(to)).reset_index(drop=True)
    differences, saved = paired(mine, theirs, by=["dataset", "model", "other", "seed"])
    numbers = pd.concat([mine[CELL], differences[["test_accuracy"]], 1 - saved[list(FIGURES)]], axis=1)
    if numbers.empty:
        return pd.DataFrame(columns=["strategy", "other"])
    found = intervals(numbers, CELL).reset_index()
    return found.assign(other=found["strategy"].map(to))


def against_narrow(compared: Comparison) -> pd.DataFrame:
    """A row per sparse strategy: accuracy in points, the rest as ratios to the narrow net of as many parameters."""
    to = {name: other for name in compared.study.strategies if (other := narrow_for(compared, name))}
    rows = []
    for _, row in ratios(compared, to).iterrows():
        low, high = row["test_accuracy_low"], row["test_accuracy_high"]
        half = f"<small> ± {50 * (high - low):.2f}</small>" if pd.notna(low) else ""
        cells = {
            "strategy": named(compared.study, row["strategy"]),
            "against": named(compared.study, row["other"]),
            "accuracy, points": points(row["test_accuracy_mean"]) + half,
        }
        for column, (heading, _, _) in FIGURES.items():
            cells[heading.partition(",")[0]] = with_interval(row, column, 1, 2)
        rows.append(cells)
    return pd.DataFrame(rows)


def speed(compared: Comparison) -> str:
    """Whether leaving weights out saved time; at 50 % it is said in any case. Markdown."""
    study, lines = compared.study, []
    to = dict.fromkeys([s for s in study.strategies if sparsity_of(compared, s) is not None], study.baseline)
    for _, row in ratios(compared, to).iterrows():
        told = []
        for column, noun in NOUNS.items():
            low, mean, high = (row[f"{column}_{part}"] for part in ("low", "mean", "high"))
            if pd.isna(mean):
                continue
            interval = "" if pd.isna(low) else f", 95 % interval {max(low, 0):.2f} to {high:.2f}"
            told.append(f"{noun} {_speed(low, mean, high)} ({mean:.2f} times as long{interval})")
        share, control = percent(sparsity_of(compared, row["strategy"])), row["strategy"] in study.controls
        what = f"as many parameters as with {share} left out" if control else f"{share} left out"
        lines.append(f"- `{row['strategy']}`, {what}: {'; '.join(told)}")
    return "Against `" + study.baseline + "`:\n\n" + "\n".join(lines) if lines else "No strategy leaves weights out."


def _speed(low: float, mean: float, high: float) -> str:
    if pd.isna(low):
        return "shorter with one seed" if mean < 1 else "**not shorter**"
    return "shorter" if high < 1 else "**longer**" if low > 1 else "**not shown to be shorter**"


def memory(compared: Comparison) -> str:
    """What the peak of a process can and can't show, and what was stored. Markdown."""
    summary = compared.summary.set_index("strategy")
    base = summary.loc[compared.study.baseline]
    peak, stored = base["peak_memory_bytes_mean"], base["model_bytes_mean"] + base["optimizer_bytes_mean"]
    gradients = base["model_bytes_mean"]
    said = []
    if pd.notna(peak):
        source = compared.runs["peak_memory_source"].iloc[0]
        said.append(
            f"The peak is that of {source}: {peak / 1e6:,.0f} MB for `{compared.study.baseline}`, of which weights, "
            f"gradients and optimizer state are {(stored + gradients) / 1e6:.1f} MB ({percent((stored + gradients) / peak, 1)})."
        )
        said.append("The rest is the library, the data, activations, and room for timing the kernels.")
        same = compared.runs.loc[compared.runs["strategy"] == compared.study.baseline, "peak_memory_bytes"]
        if len(same) > 1:
            spread = (same.max() - same.min()) / 1e6
            said.append(
                f"Runs of `{compared.study.baseline}` that differ in their seed alone differ by {spread:,.0f} MB."
            )
    less = []
    for strategy in compared.study.strategies:
        if sparsity_of(compared, strategy) is not None:
            row = summary.loc[strategy]
            share = (row["model_bytes_mean"] + row["optimizer_bytes_mean"]) / stored
            less.append(f"`{strategy}` {percent(share, 1)}")
    if less:
        said.append(
            f"Model and optimizer state together, as stored, over `{compared.study.baseline}`'s: {listed(less)}."
        )
    return " ".join(said)


def reported_and_measured(compared: list[Comparison], reported: pd.DataFrame) -> pd.DataFrame:
    """The source's figures beside those of the document they also stand in, and ours of the planned runs. Cells are HTML."""
    wide = reported.pivot(index="run", columns="metric", values="value")
    rows = []
    for run in dict.fromkeys(reported["run"]):
        said = wide.loc[run]
        rows.append(
            {
                "figure": f"reported: {run}",
                "data": "not named",
                "accuracy %": f"{100 * said['eval_accuracy']:.2f}",
                "loss": f"{said['eval_loss']:.15g}",
                "training, s": "–",
            }
        )
    for one in compared:
        for _, row in one.summary.iterrows():
            losses = one.runs[one.runs["strategy"] == row["strategy"]]["test_loss"]
            rows.append(
                {
                    "figure": f"measured: {named(one.study, row['strategy'])}",
                    "data": f"{one.dataset}{' (generated)' * one.generated}, {one.model}",
                    "accuracy %": with_interval(row, "test_accuracy", 100, 2),
                    "loss": f"{losses.mean():.4f}",
                    "training, s": with_interval(row, "train_seconds", 1, 1),
                }
            )
    return pd.DataFrame(rows)


def what_to_trust(compared: list[Comparison], reported: pd.DataFrame) -> str:
    """One paragraph of markdown: why the reported figures say nothing about sparse layers."""
    wide = reported.pivot(index="run", columns="metric", values="value")
    same = [
        metric
        for metric in ("eval_accuracy", "eval_loss")
        if wide.loc["001 results", metric] == wide.loc["004 results", metric]
    ]
    benchmark = wide.loc["001 benchmark"]
    samples = round(benchmark["eval_runtime"] * benchmark["eval_samples_per_second"])
    ours = listed([f"{one.dataset} with {one.model}" for one in compared])
    return (
        "**The reported figures are another experiment's.** Source 004, on pruning neurons, reports the same "
        f"{' and '.join(metric.removeprefix('eval_') for metric in same)} to the last digit "
        f"({wide.loc['001 results', 'eval_accuracy']:g} and {wide.loc['001 results', 'eval_loss']:.15g}). Neither has sparse "
        "layers in its code, and neither names a data set beside them. The benchmark, "
        f"{percent(benchmark['eval_accuracy'], 1)} of {samples} samples, is chance for two classes. Of memory, training time, "
        "inference time and model size, which it set out to measure, the source reports nothing. The measured rows are our own "
        f"({ours}); none of them can be compared with a reported one."
    )
