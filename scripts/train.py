"""Training of one run, one strategy on one data set and model with one seed, or of several; each writes its record."""

import argparse
import json
import os
from pathlib import Path


def arguments() -> argparse.Namespace:
    """Command line of this step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--spec", required=True, help="the run as JSON (frugal.spec.RunSpec), or with --seeds a list of them"
    )
    parser.add_argument("--cache", required=True, type=Path, help="manifest.json of the prepared data set")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--out", type=Path, help="folder of the record")
    place.add_argument("--record", type=Path, help="a file of the record, in place of its folder")
    parser.add_argument(
        "--follow", type=Path, nargs="*", help="files of the record that this run repeats or uses, if it follows one"
    )
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        help="train each spec of a list with each of these, one after another; each record lies in a folder "
        "<strategy>/seed-<n> of --out",
    )
    parser.add_argument("--stamp", type=Path, help="with --seeds: JSON file to write once all records are there")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument(
        "--residency",
        default="auto",
        choices=["auto", "device", "streamed", "files"],
        help="where training data lies, or that it is decoded from image files",
    )
    parser.add_argument("--workers", type=int, default=8, help="processes that decode images, with --residency files")
    parser.add_argument("--jobs-per-gpu", type=int, default=1, help="runs that may use one GPU at the same time")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of this job, shared by its ranks")
    parser.add_argument("--checkpoint-seconds", type=float, default=60, help="at most this much work is lost to a kill")
    parser.add_argument(
        "--checkpoints", type=Path, help="folder in which the folder checkpoints lies, if it isn't that of the record"
    )
    parser.add_argument(
        "--keep", nargs="*", default=[], choices=["model", "predictions"], help="files to leave beside the record"
    )
    parser.add_argument(
        "--scratch", help="folder on a disk of this machine; the cache is read from a copy there, which all runs share"
    )
    return parser.parse_args()


def main() -> int:
    """Train, resuming where a checkpoint of the same fingerprint is; returns the exit status."""
    options = arguments()
    # Before torch starts its thread pools: two jobs that each take all cores are many times slower than one thread each.
    threads = max(1, options.threads // int(os.environ.get("WORLD_SIZE", "1")))
    os.environ["OMP_NUM_THREADS"] = str(threads)
    from frugal.spec import RunSpec, parse
    from frugal.training.job import Job, set_up_process, train_all, train_or_say

    set_up_process(threads)
    described = json.loads(options.spec)
    specs = [parse(RunSpec, one, "--spec") for one in (described if options.seeds else [described])]
    how = {
        key: getattr(options, key)
        for key in ("device", "residency", "workers", "jobs_per_gpu", "checkpoint_seconds", "scratch", "checkpoints")
    }
    how["keep"] = tuple(options.keep)
    out, follow = options.out or options.record.parent, options.follow and options.follow[0].with_name("history.csv")
    job = Job(specs[0], options.cache, out, follow, **how)
    return train_all(job, specs, options.seeds, options.stamp) if options.seeds else train_or_say(job)


if __name__ == "__main__":
    from frugal.errors import exit_with_one_line

    exit_with_one_line(main)
