"""Where the seconds of a run went: what was not timed, on how many cores, asleep, in a queue."""

from collections.abc import Iterable, Sequence
from statistics import median

from frugal.report.findings import Finding, names_of
from frugal.report.records import Record
from frugal.study import Study

MORE_THREADS = "more threads than the job has"
IDLE = "idle while it was timed"
CROWDED = "waited for a core"
UNTIMED = "work outside the timed part"
UNCOUNTED = "optimizer steps that nobody counted"
BACKWARDS = "clock went backwards"

SHARE = 0.25  # of the training's seconds
SLACK = 10.0  # seconds for importing packages, choosing kernels and counting FLOPs
READ_AHEAD = ("streamed", "files")  # words of the note on residency where a thread or a disk works beside the training


def timing(study: Study, compared: Sequence[Record]) -> Iterable[Finding]:
    """All of these findings; a record of before a figure was written is not judged by it."""
    for run in compared:
        yield from _one(run)
    for strategy in study.strategies:
        if strategy != study.baseline:
            yield from _against_baseline(study, strategy, compared)


def _one(run: Record) -> Iterable[Finding]:
    metrics, name, threads = run.metrics, names_of([run]), max(run.manifest.hardware.threads, 1)
    train, cpu, idle = metrics.train_seconds, metrics.cpu_seconds, metrics.train_idle_seconds
    on_cpu, beside = metrics.device == "cpu", _read_ahead(run)
    if on_cpu and cpu is not None and cpu > (threads + beside + SHARE) * train + 1:
        told = f"{cpu:.1f} seconds on cores in {train:.1f} seconds of training: {cpu / train:.1f} cores for {threads} threads"
        yield MORE_THREADS, name, f"{told}; keep to the threads of the job (torch.set_num_threads) and train again"
    if on_cpu and not beside and idle is not None and idle > SHARE * train + 0.1:
        told = f"for {idle:.1f} of {train:.1f} seconds of training it neither computed nor waited for a core"
        yield IDLE, name, f"{told}: it slept or waited for a disk; its seconds measure no work"
    if metrics.uncounted_steps:
        told = f"{metrics.uncounted_steps:,} steps beside the {metrics.steps:,} of the loop"
        yield UNCOUNTED, name, f"{told}: their samples and FLOPs are in no figure; take steps in the loop only"
    if run.manifest.ended < run.manifest.started:
        yield BACKWARDS, name, f"it ended at {run.manifest.ended}, before it started at {run.manifest.started}"
    elif (run.history["train_seconds"].diff().dropna() < 0).any():
        yield BACKWARDS, name, "train_seconds in history.csv fall from one epoch to the next"


def _read_ahead(run: Record) -> bool:
    notes = [note for note in run.manifest.notes if note.startswith("residency")]
    return any(word in note for note in notes for word in READ_AHEAD)


def _against_baseline(study: Study, strategy: str, compared: Sequence[Record]) -> Iterable[Finding]:
    base = {run.seed: run for run in compared if run.cell.strategy == study.baseline}
    runs = [run for run in compared if run.cell.strategy == strategy and run.seed in base]
    outside = [(run, _outside(run), _outside(base[run.seed])) for run in runs]
    for run, mine, theirs in outside:
        if None not in (mine, theirs) and mine - theirs > 2 * SHARE * run.metrics.train_seconds + SLACK:
            told = f"{mine:.0f} seconds in preparation, evaluation and finishing, the baseline {theirs:.0f}"
            train = f"beside {run.metrics.train_seconds:.0f} seconds of training that are timed"
            yield (
                UNTIMED,
                names_of([run]),
                f"{told}, {train}: add them to its time, or move that work into the training",
            )
    queued = [(_queued(run), _queued(base[run.seed])) for run in runs]
    if queued and all(None not in pair for pair in queued):
        mine, theirs = (median(pair[place] for pair in queued) for place in (0, 1))
        if abs(mine - theirs) > SHARE:
            told = f"{mine:.0%} of its training time passed in the queue for a core, {theirs:.0%} of the baseline's"
            yield CROWDED, names_of(runs), f"{told}: the seconds are those of a crowded machine; train both again alone"


def _outside(run: Record) -> float | None:
    other = run.metrics.other_seconds
    return None if other is None else other + run.metrics.evaluation_seconds + run.metrics.checkpoint_seconds


def _queued(run: Record) -> float | None:
    seconds = run.metrics.train_queued_seconds
    return None if seconds is None or not run.metrics.train_seconds else seconds / run.metrics.train_seconds
