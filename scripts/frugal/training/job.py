"""Training job: one run from its spec to its record, or several in turn, each resumed where a checkpoint of it is.

Runs of seconds on one data set and model share a process that has imported torch once; each is a fork of it. A fork has
memory, random state and CUDA context of its own, so its record is the one that it would have by itself.
"""

import dataclasses
import hashlib
import importlib
import json
import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from pathlib import Path

import torch._dynamo  # noqa: F401  every optimizer imports it, which takes as long as torch itself

from frugal import failed
from frugal.atomic import write_json
from frugal.costs import held_equal
from frugal.data.arrays import CONFIG
from frugal.data.cache import DamagedCache, local_copy, open_cache, set_aside
from frugal.differences import of_entries, some
from frugal.errors import FrugalError, exit_with_one_line
from frugal.imports import TRAINING, checksums, closure, digest_of_training
from frugal.measure.memory import keep_freed_memory
from frugal.measure.meters import finders
from frugal.record import HISTORY, METRICS, SCORES, fits, of_scores, whole
from frugal.registry import module_name, modules_of
from frugal.spec import RunSpec
from frugal.training.checkpoint import Checkpoints
from frugal.training.device import choose_device, out_of_memory
from frugal.training.distributed import join_team
from frugal.training.history import read_followed
from frugal.training.kept import keep
from frugal.training.locks import claim
from frugal.training.progress import PROGRESS_FILE
from frugal.training.scoring import read_scoring
from frugal.training.signals import Interrupt, Interrupted, die_with_parent
from frugal.training.tasks import make_task
from frugal.training.trainer import Trainer
from frugal.training.writer import describe, manifest, metrics, write_record
from frugal.unfit import uses_scores


@dataclass(frozen=True)
class Job:
    """A run and how it is to be executed.

    cache: manifest.json of the prepared data set; out: folder of the record; follow: history.csv of the run that a
    control repeats, or None; skip_finished: whether a finished record of this very run stays; keep: what is left beside the
    record, of `record.KEPT`; the rest as the command line of `train.py` has it
    """

    spec: RunSpec
    cache: Path
    out: Path
    follow: Path | None = None
    device: str = "auto"
    residency: str = "auto"
    workers: int = 8
    jobs_per_gpu: int = 1
    checkpoint_seconds: float = 60
    scratch: str | None = None
    checkpoints: Path | None = None
    skip_finished: bool = False
    keep: tuple[str, ...] = ()


def set_up_process(threads: int) -> None:
    """Before the first run of a process: how many threads torch uses, and that memory freed by a step is kept for the next."""
    torch.set_num_threads(threads)
    keep_freed_memory()


def train(job: Job) -> int:
    """Train and write the record; returns the exit status, that of the signal where a run was asked to stop.

    Raises FrugalError for what the user can mend, a device out of memory among it.
    """
    started, spec = datetime.now(UTC), job.spec
    device, note = choose_device(job.device)
    device, locks = claim(device, spec.devices, job.jobs_per_gpu)  # noqa: F841  held until this returns
    team, device, notes = join_team(spec.devices, device)
    if team.is_main:
        print(f"{spec.path}: {note}", file=sys.stderr)
    near = local_copy(job.cache, job.scratch) if job.scratch else job.cache
    try:
        cache = open_cache(near)
    except DamagedCache as error:
        for file in {near, job.cache}:
            set_aside(file)
        what = str(error).rpartition("; ")[0]
        raise FrugalError(f"{what}; run again, and the data set is prepared anew") from error
    if apart := of_entries(cache.manifest, spec.dataset.model_dump(mode="json")):
        raise FrugalError(
            f"{job.cache} was prepared for another entry of {CONFIG}: {some(apart)}; run the workflow again, and it is "
            "prepared anew"
        )
    repeated = spec.strategy.follows, held_equal(spec.strategy.use, spec.strategy.parameters)
    followed = read_followed(job.follow, *repeated) if job.follow else None
    leading = {HISTORY: {"sha256": hashlib.sha256(job.follow.read_bytes()).hexdigest()}} if job.follow else {}
    repeats, scoring = leading[HISTORY]["sha256"] if leading else None, None
    if job.follow and uses_scores(spec.strategy.use, spec.strategy.parameters):
        scoring = read_scoring(job.follow.parent, spec.strategy.follows)
        leading[SCORES] = {"sha256": scoring.checksum}
        repeats = of_scores(leading)
    code = checksums(closure(TRAINING, *_modules_of(spec)))
    fingerprint = spec.fingerprint(cache.checksum, code, [followed, scoring.identity] if scoring else followed)
    if job.skip_finished and (record := whole(job.out)) and record["fingerprint"] == fingerprint:
        # The fingerprint holds the counts of the run that is followed, a record the whole history.csv, whose times are others.
        if not leading or fits(record["followed"], leading):
            print(f"{spec.path}: its record is there", file=sys.stderr)
            return 0
        print(f"{spec.path}: {spec.strategy.follows}, which it follows, has another record now", file=sys.stderr)
    if job.skip_finished:
        (job.out / METRICS).unlink(missing_ok=True)  # of other code, data or settings
    checkpoints = Checkpoints((job.checkpoints or job.out) / "checkpoints", fingerprint)
    try:
        where = job.residency, job.workers
        trainer = Trainer(spec, cache, device, checkpoints, job.checkpoint_seconds, followed, team, *where, scoring)
        trainer.run(job.out)
    except Interrupted as stop:
        if team.is_main:
            print(f"frugal: {spec.path}: {stop}", file=sys.stderr)
        return stop.status
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise FrugalError(
            f"{spec.path}: the device has no memory left at batch size {spec.recipe.batch_size}; "
            f"try recipe.batch_size {max(1, spec.recipe.batch_size // 2)}"
        ) from error
    if not team.is_main:
        return 0
    figures = metrics(trainer, fingerprint)
    times = {"started": started.isoformat(timespec="seconds"), "ended": datetime.now(UTC).isoformat(timespec="seconds")}
    about = manifest(trainer, fingerprint, code, times, [note, *notes], repeats)
    for told in keep(job.keep, job.out, trainer, fingerprint):
        print(f"{spec.path}: {told}", file=sys.stderr)
    write_record(job.out, figures, about, trainer)
    (job.out / PROGRESS_FILE).unlink(missing_ok=True)  # the record says all
    print(describe(figures), file=sys.stderr)
    return 0


def train_or_say(job: Job) -> int:
    """Train, as `train` does. A run that fails leaves failed.json, and no record of earlier code or settings.

    Of several processes that share a run the first to fail says why; only one of them takes away what an earlier run left.
    """
    folder = job.checkpoints or job.out
    if os.environ.get("RANK", "0") == "0":
        with suppress(NotADirectoryError):  # `train` says what is in the way
            failed.forget(folder)
    try:
        return train(job)
    except Exception as error:
        with suppress(NotADirectoryError):
            record = whole(job.out)
            if record is None or record["plan"] != job.spec.plan(digest_of_training(*_modules_of(job.spec))):
                (job.out / METRICS).unlink(missing_ok=True)
        with suppress(FrugalError, OSError):  # on a full disk, say, whose line is the one that matters
            if failed.read(folder) is None:  # else another process has, and this one only lost its connection
                failed.leave(folder, job.spec.model_dump(mode="json"), error)
        raise


def _modules_of(spec: RunSpec) -> tuple[str, ...]:
    """The modules that a run looks up by name."""
    return *modules_of(spec.strategy.use, spec.strategy.parameters), module_name("model", spec.model.use)


NOT_RUN = 2  # exit status of a run that wasn't begun


def train_all(job: Job, specs: list[RunSpec], seeds: list[int], stamp: Path | None = None) -> int:
    """Train each spec with each seed; returns the exit status of the first run that failed, else 0.

    Where a signal asked to stop, it is 128 + its number, however the run under way ended: others may not have begun.

    All specs with one seed, then with the next, so that whatever else the machine does meets all of them alike.

    job: with the folders that these runs share: each one's record and train.log lie in `<strategy>/seed-<n>` under `out`,
    its checkpoints likewise. A strategy comes after the one that it follows, and not at all where that one failed. A
    failed run doesn't keep the others from running, a signal does. A run whose record is there is left as it is.
    stamp: JSON file to write once all records are there, with the fingerprint of each; not by a job that was stopped
    """
    for spec in specs:
        modules = _modules_of(spec)
        with suppress(Exception):  # whichever run it belongs to says so in its log
            for module in modules:
                importlib.import_module(module)
            closure(TRAINING, *modules)  # read once, then remembered
    with suppress(ImportError):  # each run says so in its record
        finders()
    with suppress(Exception):  # as above; error rates of transcripts import a library for three seconds
        make_task(open_cache(job.cache))
    statuses: dict[str, int] = {}
    for run in (_run_of(job, spec, seed) for seed in seeds for spec in _leaders_first(specs)):
        name, leader = run.out.relative_to(job.out).as_posix(), run.spec.strategy.follows
        if statuses.get(f"{leader}/{run.out.name}"):
            statuses[name] = NOT_RUN
            print(f"{name}: not run, it follows {leader}, which failed", file=sys.stderr)
            continue
        statuses[name], stopped = _in_a_fork(run)
        told = f"exit status {statuses[name]}, see {name}/train.log" if statuses[name] else "done"
        print(f"{name}: {told}", file=sys.stderr)
        if stopped:
            print(f"stopped by {signal.Signals(stopped).name}; run again for the runs that are left", file=sys.stderr)
            return 128 + stopped
    status = next((status for status in statuses.values() if status), 0)
    if stamp and not status:
        records = {name: json.loads((job.out / name / METRICS).read_text())["fingerprint"] for name in statuses}
        write_json(stamp, {"schema": 1, "runs": records})
    return status


def _leaders_first(specs: list[RunSpec]) -> list[RunSpec]:
    by_name = {spec.strategy.name: spec for spec in specs}
    needs = {name: {spec.strategy.follows} & by_name.keys() for name, spec in by_name.items()}
    return [by_name[name] for name in TopologicalSorter(needs).static_order()]


def _run_of(job: Job, spec: RunSpec, seed: int) -> Job:
    strategy, name = spec.strategy, f"seed-{seed}"
    return dataclasses.replace(
        job,
        spec=spec.model_copy(update={"seed": seed}),
        out=job.out / strategy.name / name,
        skip_finished=True,
        follow=job.out / strategy.follows / name / "history.csv" if strategy.follows else None,
        checkpoints=job.checkpoints and job.checkpoints / strategy.name / name,
    )


def _in_a_fork(job: Job) -> tuple[int, int | None]:
    """Exit status of the run as a shell has it, and the first signal by which this process was asked to stop, or None.

    Whoever asks this process to save and stop means the run.
    """
    process = multiprocessing.get_context("fork").Process(target=_run, args=(job, os.getpid()))
    received: list[int] = []
    waiting: list[int] = []  # of these, what came before there was a fork

    def pass_on(number: int, _: object) -> None:
        received.append(number)
        if process.pid is None:
            waiting.append(number)
        elif process.is_alive():
            os.kill(process.pid, number)

    before = {number: signal.signal(number, pass_on) for number in Interrupt.SIGNALS}
    # The fork inherits the mask, so that nothing reaches it before it has taken these handlers off.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, Interrupt.SIGNALS)
    try:
        process.start()
        for number in waiting:
            os.kill(process.pid, number)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        process.join()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)
    status = process.exitcode if process.exitcode >= 0 else 128 - process.exitcode
    return status, next(iter(received), None)


def _run(job: Job, parent: int) -> None:
    """In the fork: a log of its own, and an end with the process that started it."""
    # A Ctrl-C is sent to all of a process group, and is passed on besides: the second would end the run without saving.
    os.setpgid(0, 0)
    die_with_parent(signal.SIGTERM)  # saves first
    if os.getppid() != parent:  # it died before it could be told
        os._exit(128 + signal.SIGTERM)
    for number in Interrupt.SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, Interrupt.SIGNALS)
    _log_to(job.out / "train.log")
    exit_with_one_line(lambda: train_or_say(job))


def _log_to(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "a" if (file.parent / METRICS).exists() else "w") as log:
        os.dup2(log.fileno(), sys.stderr.fileno())
