"""Whether a run kept its hands off the samples that are there to judge it, and trained for as long as its recipe says."""

import math
from collections.abc import Iterable, Sequence
from statistics import mean

from frugal.costs import held_equal
from frugal.report.findings import Finding, names_of
from frugal.report.records import Record

OPENED = "held-out data opened while training"
CHOSEN = "test accuracy of another epoch"
STOPPED = "stopped before its last epoch"
KNOWN = "accuracy on held-out data that was learnt"

ERRORS = 5  # standard errors
POINTS = 0.02  # and at least this much


def held_out(baseline: str, compared: Sequence[Record], scoring: Sequence[str] = ()) -> Iterable[Finding]:
    """All of these findings; a record of before a figure was written is not judged by it.

    scoring: strategies of scoring runs, which end when they have their scores
    """
    for run in compared:
        yield from _opened(run)
        if run.cell.strategy not in scoring:
            yield from _last_epoch(run)
    for strategy in dict.fromkeys(run.cell.strategy for run in compared):
        if strategy != baseline and strategy not in scoring:
            yield from _learnt(baseline, strategy, compared)


def _opened(run: Record) -> Iterable[Finding]:
    opened, curve = run.manifest.opened, bool(run.manifest.spec.get("recipe", {}).get("test_curve"))
    if opened is None:
        return
    for split, needed in (("validation", 1), ("test", int(curve))):
        if opened.get(split, 0) > needed:
            told = f"the {split} set was opened {opened[split]} times before the end of training, evaluation needs {needed}"
            yield (
                OPENED,
                names_of([run]),
                f"{told}: the strategy had it in hand; read its code, and believe no accuracy",
            )


def _last_epoch(run: Record) -> Iterable[Finding]:
    recipe, metrics = run.manifest.spec.get("recipe", {}), run.metrics
    trained = metrics.epochs if metrics.epochs_trained is None else metrics.epochs_trained
    a_step = trained / metrics.steps if metrics.steps else 0
    strategy = run.manifest.spec.get("strategy", {})
    by_cost = held_equal(strategy.get("use"), strategy.get("parameters", {}))  # how long is looked at with its cost
    if trained < recipe.get("epochs", 0) - a_step and recipe.get("early_stopping") is None and not by_cost:
        told = f"{trained:.4g} of {recipe['epochs']} epochs, and its recipe has no early_stopping"
        yield STOPPED, names_of([run]), f"{told}: what it looked at to stop is not known; train it again to the end"
    if "test_accuracy" not in run.history:
        return
    curve = run.history["test_accuracy"]
    if curve.notna().all() and not math.isclose(curve.iloc[-1], metrics.test_accuracy, abs_tol=1e-3):
        same = [row.epoch for row in run.history.itertuples() if row.test_accuracy == metrics.test_accuracy]
        of = f", that is epoch {same[0]}'s" if same else ""
        told = f"test_accuracy is {metrics.test_accuracy:.4f}{of}, after the last epoch it was {curve.iloc[-1]:.4f}"
        yield CHOSEN, names_of([run]), f"{told}: the epoch was chosen by the test set; take the last one"


def _learnt(baseline: str, strategy: str, compared: Sequence[Record]) -> Iterable[Finding]:
    """A gap between validation and test accuracy that is not the baseline's; both are of the same samples in every run."""
    base = {run.seed: run for run in compared if run.cell.strategy == baseline}
    runs = [run for run in compared if run.cell.strategy == strategy and run.seed in base and run.manifest.samples]
    if not runs:
        return
    sizes = runs[0].manifest.samples
    gap = mean(_gap(run) - _gap(base[run.seed]) for run in runs)
    variance = 0.0
    for of in (runs, [base[run.seed] for run in runs]):
        for split in ("validation", "test"):
            share = mean(
                getattr(run.metrics, f"{split[:3] if split == 'validation' else split}_accuracy") for run in of
            )
            share = min(max(share, 0.5 / sizes[split]), 1 - 0.5 / sizes[split])
            variance += share * (1 - share) / sizes[split]
    if abs(gap) > max(ERRORS * math.sqrt(variance), POINTS):
        which, other = ("validation", "test") if gap > 0 else ("test", "validation")
        told = f"its {which} accuracy lies {100 * abs(gap):.1f} points higher above its {other} accuracy than the baseline's"
        yield KNOWN, names_of(runs), f"{told}: it seems to have learnt {which} samples; read its code"


def _gap(run: Record) -> float:
    return run.metrics.val_accuracy - run.metrics.test_accuracy
