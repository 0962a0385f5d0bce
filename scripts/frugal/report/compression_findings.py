"""What the compression study says beyond what every study says: fidelity, levels, and its source's figures beside ours."""

import pandas as pd

from frugal.report.headline import named, with_interval
from frugal.report.load import Comparison
from frugal.report.sentences import code, percent


def fidelity_gap(compared: Comparison) -> str:
    """What happens when a net trained on compressed images meets sharp ones."""
    gap = compared.summary["test_accuracy_mean"] - compared.summary["test_accuracy_full_fidelity_mean"]
    worst = compared.summary.assign(gap=gap).nlargest(1, "gap").iloc[0]
    if worst["gap"] < 0.01:
        return "Every strategy is within a point as good on uncompressed images as at its own fidelity."
    robust = compared.summary["strategy"][gap.abs() < 0.01].tolist()
    stay = f"Within one point of their own fidelity stay {code(robust)}." if robust else "All lose a point or more."
    return (
        f"Tested on uncompressed images, `{worst['strategy']}` falls from {percent(worst['test_accuracy_mean'], 1)} to "
        f"{percent(worst['test_accuracy_full_fidelity_mean'], 1)}: a net that hardly saw sharp images need not "
        f"understand them. {stay}"
    )


def flips(compared: Comparison) -> str:
    """How settled the levels are at the end."""
    last = {
        name: share["flip"].iloc[-1] for name, share in compared.levels().items() if pd.notna(share["flip"].iloc[-1])
    }
    if not last:
        return "No strategy changed levels."
    most, least = max(last, key=last.get), min(last, key=last.get)
    return (
        f"In the last epoch, the share of samples that changed level lies between {percent(last[least], 1)} (`{least}`) "
        f"and {percent(last[most], 1)} (`{most}`)."
    )


def scaled_levels(compared: Comparison) -> str:
    """How many coefficients the levels in the strategies' names are on this data set; empty where they are what they say."""
    real: dict[int, int] = {}
    columns = [column for column in compared.history if column.startswith("share_k")]
    for strategy, rows in compared.history.groupby("strategy"):
        named = sorted(int(part) for part in strategy.split("-") if part.isdigit())
        used = sorted(int(column.removeprefix("share_k")) for column in columns if rows[column].max() > 0)
        if len(named) == len(used):
            real |= dict(zip(named, used, strict=True))
    if all(level == name for name, level in real.items()):
        return ""
    pairs = ", ".join(f"{name} means {real[name]} × {real[name]}" for name in sorted(real, reverse=True))
    return (
        f"The images of {compared.dataset} are smaller than the 28 × 28 pixels after which the strategies are named, so the "
        f"levels shrink with them: {pairs}."
    )


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
            "strategy": named(compared.study, run["strategy"]),
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
