"""Whether two records are one training: the same losses, the same seconds to the last digit, one curve with noise added."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from frugal.costs import EQUAL_COST
from frugal.report.findings import Finding, names_of
from frugal.report.records import Record

IDENTICAL = "identical loss curves"
ALIKE = "nearly identical loss curves"
COPIED = "one run under two names"
TRAINED_BEFORE = "trained before it began"

ALIKE_FROM = 0.98  # correlation of the changes from step to step, in the second half of the training
CLOSE = 0.05  # and losses this near each other; honest runs that share batches reach one of the two, not both
SHOWN = 2000  # steps that are looked at
PLAIN = {EQUAL_COST, "lawa"}  # strategies that train the plain net, step by step
HALF = 0.5  # of the baseline's first losses
ROUNDING = {"precision", "accumulate"}  # keys of a recipe by which one training is rounded otherwise


def identical(compared: Sequence[Record]) -> Iterable[Finding]:
    """Runs whose every training loss is the same."""
    curves = defaultdict(list)
    for record in compared:
        # A net that was cut after its last step trained as the whole one did, and is another net all the same.
        curves[record.loss_curve, record.metrics.live_parameters].append(record)
    for same in curves.values():
        if len(same) > 1 and not _plain_net(same):
            strategies = {record.cell.strategy for record in same}
            what = (
                "what sets these strategies apart never took effect"
                if len(strategies) > 1
                else "the seed had no effect"
            )
            yield IDENTICAL, names_of(same), f"every training loss is the same to the last digit: {what}"


def _plain_net(same: Sequence[Record]) -> bool:
    """Whether these are the plain net with one seed under names that train it by design: a control of equal cost that comes to as
    many steps as a budget of the baseline, and a mean of late weights, which is taken beside the training.
    """
    uses = {record.manifest.spec.get("strategy", {}).get("use") for record in same}
    return bool(uses & PLAIN) and uses <= PLAIN | {"full"} and len({record.seed for record in same}) == 1


def alike(compared: Sequence[Record]) -> Iterable[Finding]:
    """Runs whose losses rise and fall together, step by step, to the end: one curve, and noise of less than CLOSE."""
    by_length = defaultdict(list)
    for record in compared:
        by_length[record.metrics.steps].append(record)
    for runs in by_length.values():
        curves = [_last_losses(run) for run in runs]
        if len(runs) < 2 or len(curves[0]) < 8:
            continue
        changes = np.diff(curves, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            correlated = np.corrcoef(changes)
        for one, other in np.argwhere(np.triu(correlated > ALIKE_FROM, k=1)).tolist():  # few of all pairs
            apart = float(np.median(np.abs(curves[one] - curves[other])))
            pair = runs[one], runs[other]
            if apart < CLOSE and not (_one_training(*pair) or _rounded_otherwise(*pair) or _plain_net(pair)):
                told = (
                    f"the losses differ by {apart:.1%} and rise and fall together to the last step (correlation "
                    f"{correlated[one, other]:.3f}): one looks like the other with noise; train both again"
                )
                yield ALIKE, names_of(pair), told


def _last_losses(run: Record) -> np.ndarray:
    """(at most SHOWN,) logarithms of the losses in the second half of a training."""
    count = min(run.metrics.steps // 2, SHOWN)
    rows = run.iterations.rstrip("\n").rsplit("\n", count)[-count:] if count else []
    return np.log(np.maximum([float(row.rsplit(",", 1)[1]) for row in rows], 1e-12))


def _one_training(one: Record, other: Record) -> bool:
    """Whether both say that they trained alike: identical is told elsewhere, and a net may be cut after its last step."""
    cut_later = one.metrics.live_parameters != other.metrics.live_parameters
    same_work = one.metrics.flops_executed == other.metrics.flops_executed
    return (one.loss_curve == other.loss_curve and not cut_later) or (cut_later and same_work)


def _rounded_otherwise(one: Record, other: Record) -> bool:
    """Whether both say that they are one strategy with one seed, whose recipes differ in ROUNDING alone: that is no copy."""
    specs = one.manifest.spec, other.manifest.spec
    ours, theirs = (spec.get("recipe", {}) for spec in specs)
    differ = {key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)}
    ours, theirs = ({**spec.get("strategy", {}), "name": None} for spec in specs)
    return one.seed == other.seed and ours == theirs and len(differ) > 0 and differ <= ROUNDING


def copied(compared: Sequence[Record]) -> Iterable[Finding]:
    """Runs that share a fingerprint, or what no two runs can share: seconds of training to the last digit of a clock."""
    prints, seconds = defaultdict(list), defaultdict(list)
    for record in compared:
        prints[record.metrics.fingerprint].append(record)
        for value in dict.fromkeys(record.history["train_seconds"].tolist()):
            if value != round(value, 4):  # nobody's clock ends at a round figure
                seconds[value].append(record)
    told = set()
    for same in prints.values():
        if len(same) > 1:
            told.add(names_of(same))
            yield COPIED, names_of(same), "they have one fingerprint: one is a copy; train it again"
    for value, same in seconds.items():
        if len(same) > 1 and names_of(same) not in told:
            told.add(names_of(same))
            what = f"each had trained for exactly {value!r} seconds at the end of an epoch"
            yield COPIED, names_of(same), f"{what}: one is a copy, or began from the other's checkpoint; train it again"


def trained_before(baseline: str, compared: Sequence[Record]) -> Iterable[Finding]:
    """Runs whose first losses are far below those of the baseline with the same seed."""
    first = {(run.cell.strategy, run.seed): _first_loss(run) for run in compared}
    for run in compared:
        theirs, mine = first.get((baseline, run.seed)), first[run.cell.strategy, run.seed]
        if theirs is not None and mine < HALF * theirs:
            told = (
                f"its first losses are {mine:.3g}, the baseline's {theirs:.3g}: it did not begin with an untrained net"
            )
            yield TRAINED_BEFORE, names_of([run]), f"{told}, but with a result of an earlier run"


def _first_loss(run: Record) -> float:
    rows = run.iterations.split("\n", 3)[:3]
    return float(np.mean([float(row.rsplit(",", 1)[1]) for row in rows if row]))
