"""What results can't tell, in sentences: few seeds, crowded machines, intervals of their own, findings of the audit. Markdown."""

import numpy as np
import pandas as pd

from frugal.report.exchange_rate import SHORTER
from frugal.report.findings import few
from frugal.report.load import Comparison
from frugal.report.machines import counted
from frugal.report.pool import NOT_POOLED, TINY
from frugal.report.power import detectable, seeds_for
from frugal.report.statistics import UNDECIDED, WORSE
from frugal.report.withheld import withheld
from frugal.report.words import percent, points

EACH = 3  # findings of one kind that a report tells
QUEUED = (
    0.1  # share of the training's seconds in a queue for a core, above which they are told to be of a crowded machine
)
UNEVEN = 0.1  # share by which CPU seconds for a FLOP may differ where the same is computed
SAME_WORK = 0.01  # share by which FLOPs for a sample may differ where the same is computed
STEEP = 10  # margins that the plain net may gain from half of its epochs to all
CHANCE = 0.55  # area under the ROC curve of a net that has hardly learned anything
ONE_CLASS = 1.05  # times one over the classes: up to it a balanced accuracy is that of a net that says one class alone
FEW_STEPS = 50  # of the optimizer, below which a net has hardly begun to learn
FEW = 5  # seeds, below which an interval says more about the draw of the seeds than about the strategies


def in_sight(compared: Comparison) -> str:
    """Which difference these seeds can see, how many seeds the margin asks for, and whose spread that is computed with."""
    study, row = compared.study, compared.summary.iloc[0]
    (seeds, most), spread, freedom = seeds_of(compared), row["pool_spread"], row["pool_freedom"]
    others = len(compared.summary) - 1
    least = detectable(spread, freedom, seeds, others)
    if np.isnan(least):
        return few_seeds(seeds)
    wanted = seeds_for(study.margin, spread, others)
    asks = f"{wanted} seeds" if wanted else "more than a thousand seeds"
    margin = f"{100 * study.margin:g} points"
    enough = (
        f"enough for the margin of {margin}" if least <= study.margin else f"the margin of {margin} asks for {asks}"
    )
    remark = row["pool_remark"] if isinstance(row["pool_remark"], str) else ""
    some = f" ({most} of some strategies)" * (most > seeds)
    finds = f"With {seeds} seeds{some} this study finds a difference of {100 * least:.2g} points four times in five (80 % power)"
    told = f"{finds}: {enough}."
    return " ".join(filter(None, [told, remark[:1].upper() + remark[1:] + "." * bool(remark)]))


def own_intervals(compared: Comparison) -> str:
    """Strategies whose seeds scatter otherwise than the others', so that they have intervals of their own; empty without one."""
    remarks = compared.summary.dropna(subset="interval_remark")
    told = [
        f"`{row['strategy']}`: {row['interval_remark']}"
        for _, row in remarks.iterrows()
        if NOT_POOLED in row["interval_remark"]
    ]
    return "Not pooled with the others: " + "; ".join(told) + "." if told else ""


def seeds_of(compared: Comparison) -> tuple[int, int]:
    """The fewest and the most seeds that a strategy shares with the baseline; the baseline's own where there is none to compare.

    A strategy that shares one or none is compared with nothing.
    """
    summary = compared.summary
    others = summary.loc[summary["strategy"] != compared.study.baseline, "seeds_compared"]
    found = others[others > 1]
    found = found if len(found) else summary.loc[summary["strategy"] == compared.study.baseline, "seeds"]
    return int(found.min()), int(found.max())


def few_seeds(seeds: int) -> str:
    """A warning where a strategy has so few seeds that the intervals themselves are uncertain; else empty."""
    if not 2 <= seeds < FEW:  # of one seed the headline says that it allows no conclusion
        return ""
    return (
        f"**{seeds} seeds are few.** The standard deviation over seeds is then estimated from all strategies together alone, and "
        f"a verdict may change with more seeds. Run at least {FEW}."
    )


def cautions(row: pd.Series, compared: Comparison) -> list[str]:
    """What has to be said beside the answer that a strategy's row of the summary gives, in the order of its weight."""
    of_the_row = (on_whole_images(row), on_classes(row, compared), on_a_falling_curve(row, compared))
    told = (withheld(row), *cautions_on_all(compared), *of_the_row, on_a_steep_curve(compared))
    return [caution for caution in told if caution]


def cautions_on_all(compared: Comparison) -> list[str]:
    """What has to be said of the plain net and its data whatever the answer is."""
    told = (few_steps(compared), at_one_class(compared) or at_chance(compared), few_test_samples(compared))
    return [caution for caution in told if caution]


def on_whole_images(row: pd.Series) -> str:
    """What a strategy that is tested on the images it was trained on loses on uncompressed ones; empty where it loses nothing."""
    worse = row["verdict_full_fidelity"] in (WORSE, UNDECIDED) and row["verdict_full_fidelity"] != row["verdict"]
    reached = row["test_accuracy_full_fidelity_mean"]
    told = f"on uncompressed images it reaches {100 * reached:.2f}\N{NO-BREAK SPACE}%"
    return told if worse and reached < row["test_accuracy_mean"] else ""


def on_classes(row: pd.Series, compared: Comparison) -> str:
    """What a strategy loses on classes that are rare and not in accuracy, by its whole interval; empty where that isn't so.

    Balanced accuracy is the mean over classes of the share that is recognised, so that each counts alike.
    """
    mean, low, high = (row[f"test_balanced_accuracy_difference_{part}"] for part in ("mean", "low", "high"))
    overall = row["test_accuracy_difference_mean"]
    if not (high < min(0, overall) and mean < -compared.study.margin) or row["verdict"] == WORSE:
        return ""
    told = f"{points(mean)} points ({points(low)} to {points(high)}) of balanced accuracy"
    return f"rare classes lose more: {told}, in which each class counts alike"


def on_a_falling_curve(row: pd.Series, compared: Comparison) -> str:
    """What a rate is worth where the plain net, trained for less, is the more accurate one; empty where it isn't."""
    if SHORTER not in str(row["exchange_reason"]):
        return ""
    curve = _accuracy_by_budget(compared)
    if curve.empty:
        return SHORTER
    return f"{SHORTER}: {100 * curve.max():.2f}\N{NO-BREAK SPACE}% with {curve.idxmax():g} of its epochs"


def on_a_steep_curve(compared: Comparison) -> str:
    """A warning where the plain net still gains a lot from its second half: what saves then need not in a longer training."""
    curve = _accuracy_by_budget(compared)
    if not {0.5, 1.0} <= set(curve.index) or curve[1.0] - curve[0.5] <= STEEP * compared.study.margin:
        return ""
    gained = f"{100 * (curve[1.0] - curve[0.5]):.1f} points"
    return (
        f"the plain net gains {gained} from half of its epochs to all: in a longer training this may turn out otherwise"
    )


def _accuracy_by_budget(compared: Comparison) -> pd.Series:
    return compared.curve.set_index("budget")["test_accuracy_mean"].astype(float)


def few_steps(compared: Comparison) -> str:
    """A warning where the plain net took so few steps that what is left out of them says little; else empty."""
    steps = compared.runs.loc[compared.runs["strategy"] == compared.study.baseline, "steps"].median()
    if not steps < FEW_STEPS:
        return ""
    return (
        f"the plain net took {steps:.0f} steps, which is hardly a training: give the recipe more epochs, until half of them lose "
        "little"
    )


def at_chance(compared: Comparison) -> str:
    """A warning where the plain net tells the classes hardly apart, so that there is no accuracy to lose; else empty."""
    area = compared.summary.set_index("strategy").loc[compared.study.baseline, "test_roc_auc_mean"]
    if not area < CHANCE:
        return ""
    return f"the plain net has hardly learned anything: ROC AUC {area:.2f}, where 0.5 is chance; give it a better recipe first"


def at_one_class(compared: Comparison) -> str:
    """A warning where the plain net can't be told from one that gives every sample the same class; empty where it can, or where
    the number of classes isn't known.

    Such a net has the share of that class as its accuracy, which may be high, and one over the classes as its balanced accuracy.
    """
    runs = compared.runs[compared.runs["strategy"] == compared.study.baseline]
    classes = runs["classes"].max() if "classes" in runs else np.nan  # tables of before it was written lack it
    row = compared.summary.set_index("strategy").loc[compared.study.baseline]
    reached, low, high = (row[f"test_balanced_accuracy_{part}"] for part in ("mean", "low", "high"))
    told = f"balanced accuracy {100 * reached:.2f}\N{NO-BREAK SPACE}%"
    same = f"{100 / classes:.2f}\N{NO-BREAK SPACE}% is that of the same class for every sample"
    if reached <= ONE_CLASS / classes:
        return f"the plain net has hardly learned anything: {told}, where {same}; give it a better recipe first"
    if low <= 1 / classes:
        told += f" ({100 * low:.2f} to {100 * high:.2f})"
        return f"these seeds can't tell whether the plain net has learned anything: {told}, where {same}"
    return ""


def few_test_samples(compared: Comparison) -> str:
    """A warning where one sample of the test set is more than the margin; empty where its size isn't known.

    The accuracy of transcripts counts characters, not samples: no warning there.
    """
    runs, margin = compared.runs, compared.study.margin
    if "test_samples" not in runs or runs["test_wer"].notna().any():  # tables of before it was written lack it
        return ""
    size = runs["test_samples"].min()
    if not 0 < size * margin < 1 - TINY:
        return ""
    return f"{size:,.0f} test samples: one of them is {100 / size:.3g} points, more than the margin of {100 * margin:g}"


def seconds_in_doubt(compared: Comparison) -> str:
    """One line where runs shared their cores with other work, so that their seconds say more of the machine; else empty."""
    runs = compared.everything
    if "machine_load" not in runs:  # tables of before it was written
        return ""
    queued = (runs["train_queued_seconds"] / runs["train_seconds"]).fillna(0.0)
    crowded = (runs["machine_load"] > runs["cores"] + 0.5) | (queued > QUEUED)
    if not crowded.any():
        return ""
    load = ""
    if runs["machine_load"].notna().any():
        worst = runs.loc[(runs["machine_load"] / runs["cores"]).idxmax()]
        load = f"load {worst['machine_load']:.1f} on {worst['cores']:.0f} cores, "
    return (
        f"**Seconds are not to be trusted**: {crowded.sum()} of {len(runs)} runs shared their cores with other work ({load}"
        f"up to {percent(queued.max())} of the time in a queue for one). CPU seconds are disturbed less."
    )


def uneven_seconds(compared: Comparison) -> str:
    """One line where controls that compute what the plain net does took other CPU seconds for it; else empty.

    A plain net trained for less, or on fewer samples, spends as many CPU seconds for a FLOP as the baseline. Where it doesn't,
    something else than the strategy moved them, which no interval over seeds shows.
    """
    study, runs = compared.study, counted(compared.runs, "cpu_seconds")
    spent = runs.groupby("strategy", sort=False)[["cpu_seconds", "flops_executed", "samples_forwarded"]].mean()
    if study.baseline not in spent.index:
        return ""
    seconds, work = spent["cpu_seconds"] / spent["flops_executed"], spent["flops_executed"] / spent["samples_forwarded"]
    same = (work / work[study.baseline] - 1).abs() < SAME_WORK
    apart = (seconds / seconds[study.baseline] - 1)[same & spent.index.isin(study.controls)].dropna()
    uneven = apart[apart.abs() > UNEVEN]
    if uneven.empty:
        return ""
    least, most = (percent(share).replace("-", "\N{MINUS SIGN}") for share in (uneven.min(), uneven.max()))
    told = least if least == most else f"{least} to {most}"
    return (
        f"**CPU seconds are uncertain**: {len(uneven)} of {len(apart)} controls that compute what `{study.baseline}` does, only "
        f"less of it, differ from it by {told} in CPU seconds for each FLOP. Another time, other code, other work "
        f"beside them, or very short runs do that: a rate in seconds is less certain than its interval."
    )


def doubts(compared: Comparison) -> str:
    """The findings of the audit."""
    if compared.audit.empty:
        return (
            "The audit found nothing: no two runs that should differ share a training-loss curve, and all were made on the same "
            "machine, with the same data, code and packages."
        )
    lines = []
    for kind, rows in compared.audit.groupby("finding", sort=False):
        told = (f"- **{kind}** — {few(row.runs)}: {row.detail}" for row in rows.head(EACH).itertuples())
        lines += [line.replace("__", r"\_\_") for line in told]  # names of files, not bold
        lines += [f"- **{kind}** — {len(rows) - EACH} more in `audit.csv`"] if len(rows) > EACH else []
    return "**The audit found reasons for doubt:**\n\n" + "\n".join(lines)
