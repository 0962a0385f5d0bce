"""Sentences that depend on the outcome, computed from the tables so that they can never contradict them. Markdown."""

import pandas as pd

from frugal.analysis.comparison import Comparison
from frugal.analysis.statistics import BETTER, EQUAL, UNDECIDED, WORSE

SAVINGS = {
    "bytes_read": "reads {} fewer bytes",
    "flops_executed": "executes {} fewer FLOPs",
    "train_seconds": "trains in {} less time",
}
ENOUGH = 0.01  # a saving below one per cent is not worth a headline


def percent(share: float, digits: int = 0) -> str:
    """A fraction in per cent, never rounded up to all or down to nothing."""
    while digits < 4 and (round(100 * share, digits) >= 100 > 100 * share or round(100 * share, digits) == 0 < share):
        digits += 1
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def points(difference: float) -> str:
    """A difference of two accuracies in percentage points, with its sign."""
    return f"{100 * difference:+.2f}".replace("-", "\N{MINUS SIGN}")


def code(names: list[str]) -> str:
    """Names of strategies as a list in a sentence."""
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " and " + quoted[-1] if quoted else "none"


def _against(row: pd.Series, compared: Comparison, metric: str = "test_accuracy") -> str:
    """How far a strategy lies from the baseline, with its interval."""
    low, mean, high = (row[f"{metric}_difference_{part}"] for part in ("low", "mean", "high"))
    return f"{points(mean)} points against `{compared.study.baseline}`, 95 % interval {points(low)} to {points(high)}"


def savings_at_no_loss(compared: Comparison) -> dict[str, pd.Series]:
    """Per cost, the row of the strategy that saves most among those better than or equal to the baseline; may be empty.

    A saving counts where its whole 95 % interval lies above one per cent.
    """
    lossless = compared.summary[compared.summary["verdict"].isin([BETTER, EQUAL])]
    best = {}
    for cost in SAVINGS:
        saving = lossless[lossless[f"{cost}_saved_low"] > ENOUGH]
        if len(saving):
            best[cost] = saving.loc[saving[f"{cost}_saved_mean"].idxmax()]
    return best


def headline(compared: Comparison) -> str:
    """The best saving at no loss, in two or three sentences; or that there is none to be shown."""
    study, best = compared.study, savings_at_no_loss(compared)
    where = f"On `{compared.dataset}` with `{compared.model}`"
    if len(study.seeds) < 2:
        return (
            f"{where}: one seed was run, so nothing can be said about gains and losses. Run at least two, better five."
        )
    if not best:
        return (
            f"{where}, no strategy saves anything that this study can show to be free of a loss. {_closest(compared)}"
        )
    parts: dict[str, list[str]] = {}
    for cost, row in best.items():
        parts.setdefault(row["strategy"], []).append(SAVINGS[cost].format(f"**{percent(row[f'{cost}_saved_mean'])}**"))
    rows = {row["strategy"]: row for row in best.values()}
    sentences = [
        f"`{strategy}` {' and '.join(saved)} and stays within the margin of {100 * study.margin:g} points"
        if rows[strategy]["verdict"] == EQUAL
        else f"`{strategy}` {' and '.join(saved)} and is more accurate"
        for strategy, saved in parts.items()
    ]
    sentences = [f"{text} ({_against(rows[name], compared)})" for text, name in zip(sentences, parts, strict=True)]
    return f"{where}, " + "; ".join(sentences) + "."


def _closest(compared: Comparison) -> str:
    """The most accurate of the undecided strategies that read less, for whoever wants to run more seeds."""
    summary = compared.summary
    undecided = summary[(summary["verdict"] == UNDECIDED) & (summary["bytes_read_saved_mean"] > ENOUGH)]
    if undecided.empty:
        return "Every one that reads less loses more than the margin."
    row = undecided.loc[undecided["test_accuracy_difference_mean"].idxmax()]
    saved = SAVINGS["bytes_read"].format(percent(row["bytes_read_saved_mean"]))
    return f"Closest is `{row['strategy']}`, which {saved} and stays undecided ({_against(row, compared)})."


def verdicts(compared: Comparison) -> str:
    """Which strategies keep the accuracy at their own fidelity, which lose, and of which one can't tell."""
    kinds = {
        BETTER: "better than the baseline",
        EQUAL: "equal within the margin",
        WORSE: "worse by more than the margin",
        UNDECIDED: "undecided",
    }
    said = []
    for kind, name in kinds.items():
        strategies = compared.summary["strategy"][compared.summary["verdict"] == kind].tolist()
        if strategies:
            said.append(f"{name}: {code(strategies)}")
    margin = f"{100 * compared.study.margin:g} points"
    opening = f"At their own fidelity, against `{compared.study.baseline}` and with a margin of {margin}:"
    return opening + "\n\n" + "\n".join(f"- {line}" for line in said)


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


def against_controls(compared: Comparison) -> str:
    """Whether choosing samples by importance beats its control of equal cost."""
    rows = compared.summary.dropna(subset=["control_difference_mean"])
    rows = rows[~rows["strategy"].isin(compared.study.controls)]
    if rows.empty:
        return "No strategy has a control that read as many bytes, so none can be told from simply reading less."
    sentences = []
    for _, row in rows.iterrows():
        low, high = row["control_difference_low"], row["control_difference_high"]
        found = "no interval from one seed" if pd.isna(low) else f"95 % interval {points(low)} to {points(high)}"
        sure = (
            "" if pd.isna(low) else ": better" if low > 0 else ": worse" if high < 0 else ": no difference can be shown"
        )
        sentences.append(
            f"- `{row['strategy']}` against `{row['control']}`: {points(row['control_difference_mean'])} points ({found}){sure}"
        )
    return "Against the control that reads as many bytes (within 5 %):\n\n" + "\n".join(sentences)


def reaching(compared: Comparison) -> str:
    """Who reaches the target accuracy, who first in epochs and who first in seconds."""
    study, summary = compared.study, compared.summary
    target = f"{100 * study.target_accuracy:g} % validation accuracy"
    always = summary[summary["seeds_at_target"] == summary["seeds"]]
    if always.empty:
        return f"No strategy reaches {target} with every seed."
    first, fastest = (
        always.loc[always["epochs_to_target_mean"].idxmin()],
        always.loc[always["seconds_to_target_mean"].idxmin()],
    )
    never = summary["strategy"][summary["seeds_at_target"] == 0].tolist()
    return (
        f"{len(always)} of {len(summary)} strategies reach {target} with every seed; first in epochs is `{first['strategy']}` "
        f"({first['epochs_to_target_mean']:.3g}), first in time `{fastest['strategy']}` "
        f"({fastest['seconds_to_target_mean']:.3g} s)." + (f" Never: {code(never)}." if never else "")
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


def doubts(compared: Comparison) -> str:
    """The findings of the audit."""
    if compared.audit.empty:
        return (
            "The audit found nothing: no two runs share a training-loss curve, and all were made on the same machine, "
            "with the same data, code and packages."
        )
    lines = [f"- **{row.finding}** — {row.runs}: {row.detail}" for row in compared.audit.itertuples()]
    return "**The audit found reasons for doubt:**\n\n" + "\n".join(lines)


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
