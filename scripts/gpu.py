"""All that waits for a GPU, in one command that can be cut off at any moment and started again.

    make gpu                                    # every step that is due
    make gpu ARGS=--list                        # done, due, skipped and why; hours estimated and taken. Needs no GPU
    make gpu MINUTES=9 ARGS='--carry gpu.tar'   # on a machine lent for minutes; gpu.tar goes to the next one

A step whose figure is there isn't run again, whatever the commit, unless --again names it. With --minutes, a step that can't be
done in what is left isn't started; a training is, and is asked to save in time. Exit status: 1 where a step failed, 2 where
nothing could be run, else 0, also where steps are still due.
"""

import argparse
import fcntl
import importlib.util
import os
import sys
import time
from pathlib import Path

from frugal.errors import FrugalError, did_you_mean, exit_with_one_line
from frugal.gpu.carry import pack, unpack
from frugal.gpu.listing import table
from frugal.gpu.running import SAVING, Runner
from frugal.gpu.steps import STEPS, Places, Step
from frugal.training.signals import Interrupt

PACKAGES = ("torch", "torchvision", "pydantic", "scipy", "psutil", "rich")  # that every step needs


def main(steps: tuple[Step, ...] = STEPS, words: list[str] | None = None) -> int:
    """List the steps or run those that are due; returns the exit status. words: of the command line, by default sys.argv's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print how far the steps are, and end")
    parser.add_argument("--minutes", type=float, help="be done, with everything saved, after so many")
    parser.add_argument("--only", action="append", metavar="STEP", help="this step; may be given several times")
    parser.add_argument(
        "--again", action="append", default=[], metavar="STEP", help="run this one anew although it is done"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/gpu"), help="folder of the figures")
    parser.add_argument(
        "--work", type=Path, default=Path("build/gpu"), help="folder of runs, checkpoints, logs and data"
    )
    parser.add_argument(
        "--carry", type=Path, metavar="FILE", help="archive to go on from, and to leave for the next machine"
    )
    parser.add_argument(
        "--carry-megabytes", type=float, metavar="N", help="leave out checkpoints with which it had more"
    )
    given = parser.parse_args(words)
    started = time.monotonic()
    data = os.environ.get("FRUGAL_DATA")
    places = Places(given.work.absolute(), given.out.absolute(), Path(data).expanduser() if data else None)
    names = [step.name for step in steps]
    for name in (*(given.only or []), *given.again):
        if name not in names:
            raise FrugalError(f"unknown step {name!r}; {did_you_mean(name, names)}")
    chosen = [step for step in steps if given.only is None or step.name in given.only]
    runner = Runner(places, lambda line: print(line, flush=True))
    if given.list:
        print(table(chosen, runner))
        return 0
    if missing := cuda_missing():
        raise FrugalError(missing)
    places.work.mkdir(parents=True, exist_ok=True)
    with open(places.work / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FrugalError(f"another `make gpu` is running in {places.work}; wait for it") from None
        if given.carry and given.carry.exists():
            print(f"{unpack(given.carry, places)} files laid out from {given.carry}", flush=True)
        for step in steps:
            if step.name in given.again:
                runner.do_again(step)
        deadline = None if given.minutes is None else started + 60 * given.minutes
        return run_all(chosen, runner, deadline, given.carry, given.carry_megabytes)


def cuda_missing() -> str | None:
    """What a run lacks here, in a sentence."""
    if lacking := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        return f"this Python ({sys.executable}) has no {', '.join(lacking)}; run make setup, or start another one"
    import torch

    if not torch.cuda.is_available():
        return f"torch {torch.__version__} finds no CUDA GPU here; `make gpu ARGS=--list` shows what waits for one"
    return None


def run_all(
    steps: list[Step], runner: Runner, deadline: float | None, carry: Path | None, megabytes: float | None
) -> int:
    """Run what is due, one after the other; returns the exit status. deadline: by time.monotonic(), None for none."""
    failed, due, skipped = [], [], []
    with Interrupt() as interrupt:
        for step in steps:
            if runner.done(step):
                continue
            if why := step.why_skipped(runner.places):
                skipped.append(f"{step.name}: {why}")
                continue
            left = None if deadline is None else deadline - time.monotonic() - SAVING
            if interrupt.number is not None or (left is not None and left < runner.needed(step)):
                due.append(step.name)
                continue
            runner.tell(f"{step.name}: estimated {60 * step.estimate.hours:.0f} min; {step.answers}")
            outcome = runner.run(step, left, interrupt)
            known = runner.known(step)
            if outcome == "done":
                runner.tell(f"{step.name}: done, {runner.figure(step)}")
            elif outcome == "failed":
                failed.append(step.name)
                runner.tell(f"{step.name}: failed: {known.failed['line']} ({known.failed['log']})")
            else:
                due.append(step.name)
                runner.tell(f"{step.name}: stopped after {known.seconds / 60:.1f} min in all, still due")
            if carry:
                for name in pack(carry, runner.places, megabytes):
                    runner.tell(f"{carry} is without {name}, which is too large for it")
    if carry and not carry.exists():
        pack(carry, runner.places, megabytes)
    for line in skipped:
        runner.tell(f"skipped: {line}")
    for word, found in (("still due", due), ("failed", failed)):
        if found:
            runner.tell(f"{word}: {', '.join(found)}")
    if interrupt.number is not None:
        return 128 + interrupt.number
    return 1 if failed else 0


if __name__ == "__main__":
    exit_with_one_line(main)
