"""One training job from its spec to its record, resuming where a checkpoint of the same fingerprint is."""

import hashlib
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from frugal.data.cache import DamagedCache, open_cache, set_aside
from frugal.data.nearby import brought_near
from frugal.errors import FrugalError
from frugal.imports import checksums, closure
from frugal.registry import module_name, modules_of
from frugal.spec import RunSpec
from frugal.training import heartbeat
from frugal.training.checkpoint import Checkpoints
from frugal.training.device import choose_device, out_of_memory
from frugal.training.interrupt import Interrupted
from frugal.training.loop import Trainer
from frugal.training.parallel import join_team
from frugal.training.record import describe, is_finished, manifest, metrics, read_followed, write_record
from frugal.training.slots import claim


@dataclass(frozen=True)
class Job:
    """A run and how it is to be executed.

    cache: manifest.json of the prepared data set; out: folder of the record; follow: history.csv of the run that a
    control repeats, or None; keep: whether a finished record of this very run stays; the rest as the command line of
    `train.py` has it
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
    keep: bool = False


def train(job: Job) -> int:
    """Train and write the record; returns the exit status, that of the signal where a run was asked to stop.

    Raises FrugalError for what the user can mend, a device out of memory among it.
    """
    started, spec = datetime.now(UTC), job.spec
    device, note = choose_device(job.device)
    device, locks = claim(device, spec.devices, job.jobs_per_gpu)  # noqa: F841  held until this returns
    team, device, notes = join_team(spec.devices, device)
    if team.leads:
        print(f"{spec.path}: {note}", file=sys.stderr)
    near = brought_near(job.cache, job.scratch) if job.scratch else job.cache
    try:
        cache = open_cache(near)
    except DamagedCache as error:
        for file in {near, job.cache}:
            set_aside(file)
        what = str(error).rpartition("; ")[0]
        raise FrugalError(f"{what}; run again, and the data set is prepared anew") from error
    followed = read_followed(job.follow, spec.strategy.follows) if job.follow else None
    repeats = hashlib.sha256(job.follow.read_bytes()).hexdigest() if job.follow else None
    modules = *modules_of(spec.strategy.use, spec.strategy.parameters), module_name("model", spec.model.use)
    code = checksums(closure("train.py", *modules))
    fingerprint = spec.fingerprint(cache.checksum, code, followed)
    if job.keep and is_finished(job.out, fingerprint):
        print(f"{spec.path}: its record is there", file=sys.stderr)
        return 0
    if job.keep:
        (job.out / "metrics.json").unlink(missing_ok=True)  # of other code, data or settings
    checkpoints = Checkpoints((job.checkpoints or job.out) / "checkpoints", fingerprint)
    try:
        where = job.residency, job.workers
        trainer = Trainer(spec, cache, device, checkpoints, job.checkpoint_seconds, followed, team, *where)
        trainer.run(job.out)
    except Interrupted as stop:
        if team.leads:
            print(f"frugal: {spec.path}: {stop}", file=sys.stderr)
        return stop.status
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise FrugalError(
            f"{spec.path}: the device has no memory left at batch size {spec.recipe.batch_size}; "
            f"try recipe.batch_size {max(1, spec.recipe.batch_size // 2)}"
        ) from error
    if not team.leads:
        return 0
    figures = metrics(trainer, fingerprint)
    times = {"started": started.isoformat(timespec="seconds"), "ended": datetime.now(UTC).isoformat(timespec="seconds")}
    about = manifest(trainer, fingerprint, code, times, [note, *notes], repeats)
    write_record(job.out, figures, about, trainer)
    heartbeat.stop(job.out)
    print(describe(figures), file=sys.stderr)
    return 0
