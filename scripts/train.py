"""One run: train one strategy on one data set and model with one seed, and write its record."""

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path


def arguments() -> argparse.Namespace:
    """Command line of this step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="the run as JSON (frugal.spec.RunSpec)")
    parser.add_argument("--cache", required=True, type=Path, help="manifest.json of the prepared data set")
    parser.add_argument("--out", required=True, type=Path, help="folder of the record")
    parser.add_argument("--follow", type=Path, help="history.csv of the run that this control repeats")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument(
        "--residency",
        default="auto",
        choices=["auto", "device", "streamed", "files"],
        help="where training data lies, or that it is decoded from image files",
    )
    parser.add_argument("--workers", type=int, default=8, help="processes that decode images, with --residency files")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of this job, shared by its ranks")
    parser.add_argument("--checkpoint-seconds", type=float, default=60, help="at most this much work is lost to a kill")
    return parser.parse_args()


def main() -> int:
    """Train, resuming where a checkpoint of the same fingerprint is; returns the exit status."""
    options = arguments()
    # Before torch starts its thread pools: two jobs that each take all cores are many times slower than one thread each.
    threads = max(1, options.threads // int(os.environ.get("WORLD_SIZE", "1")))
    os.environ["OMP_NUM_THREADS"] = str(threads)
    started = datetime.now(UTC)
    import torch

    from frugal.data.cache import open_cache
    from frugal.errors import FrugalError
    from frugal.imports import checksums, closure
    from frugal.registry import module_name
    from frugal.spec import RunSpec, parse
    from frugal.training.checkpoint import Checkpoints
    from frugal.training.device import choose_device, out_of_memory
    from frugal.training.interrupt import Interrupted
    from frugal.training.loop import Trainer
    from frugal.training.parallel import join_team
    from frugal.training.record import describe, manifest, metrics, read_followed, write_record

    torch.set_num_threads(threads)
    spec = parse(RunSpec, json.loads(options.spec), "--spec")
    device, note = choose_device(options.device)
    team, device, notes = join_team(spec.devices, device)
    if team.leads:
        print(f"{spec.path}: {note}", file=sys.stderr)
    cache = open_cache(options.cache)
    followed = read_followed(options.follow) if options.follow else None
    code = checksums(
        closure("train.py", module_name("strategy", spec.strategy.use), module_name("model", spec.model.use))
    )
    fingerprint = spec.fingerprint(cache.checksum, code, followed)
    checkpoints = Checkpoints(options.out / "checkpoints", fingerprint)
    try:
        where = options.residency, options.workers
        trainer = Trainer(spec, cache, device, checkpoints, options.checkpoint_seconds, followed, team, *where)
        trainer.run()
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
    write_record(options.out, figures, manifest(trainer, fingerprint, code, times, [note, *notes]), trainer)
    print(describe(figures), file=sys.stderr)
    return 0


if __name__ == "__main__":
    from frugal.errors import exit_with_one_line

    exit_with_one_line(main)
