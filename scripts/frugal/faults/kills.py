"""kill -9 of trainers, of their forks and of Snakemake, at random points of a grid that is started again each time."""

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil

from frugal.faults.checkout import Checkout, Grid
from frugal.faults.outcome import Outcome, differing

ROUNDS = 2  # grids at a time are alternately grouped, whose runs are forks, and not


def kill(count: int, seed: int, folder: Path, told: Callable[[str], None]) -> list[Outcome]:
    """Kill `count` processes in all; returns an outcome for each kind of victim, and one for what all rounds left.

    A round is a grid from nothing to its tables; when it gets there before the kills are used up, another begins.
    """
    draw, kills, lost, wrong, rounds = random.Random(seed), Counter(), [], [], 0
    references = {grouped: _undisturbed(folder / f"reference-{grouped}", grouped) for grouped in (False, True)}
    while sum(kills.values()) < count:
        grouped = rounds % 2 == 1
        checkout = Checkout(folder / f"round-{rounds}", _grid(grouped))
        seen: dict[str, dict] = {}
        while True:
            left = count - sum(kills.values())
            status = _start_and_kill(checkout, draw, left, kills)
            told(f"round {rounds + 1}, {sum(kills.values())} of {count} killed")
            now = checkout.finished()
            lost += [path for path in seen if path in now and now[path]["train_seconds"] != seen[path]["train_seconds"]]
            seen |= now
            if status == 0:
                break
            if left <= 0:  # undisturbed and yet it failed
                wrong.append(
                    f"round {rounds + 1} doesn't end: {(checkout.folder / 'snakemake.log').read_text()[-500:]}"
                )
                break
        wrong += [f"round {rounds + 1}: {path}" for path in differing(checkout.records(), references[grouped])]
        rounds += 1
    found = [
        Outcome(f"kill -9 of {victim}", number, number, "the grid was started again and went on")
        for victim, number in sorted(kills.items())
    ]
    told_of = "; ".join(dict.fromkeys([*(f"trained again: {path}" for path in lost), *wrong]))
    found.append(
        Outcome(
            "a grid after all of its kills",
            rounds,
            rounds - len({text.split(":")[0] for text in wrong}) - bool(lost),
            told_of or "records equal the undisturbed ones; no finished run was trained again",
        )
    )
    return found


def _grid(grouped: bool) -> Grid:
    return Grid(seeds=2, epochs=60, grouped=grouped)


def _undisturbed(folder: Path, grouped: bool) -> dict[str, tuple]:
    checkout = Checkout(folder, _grid(grouped))
    status, said = checkout.run()
    if status:
        raise RuntimeError(f"the undisturbed grid failed: {said[-1000:]}")
    return checkout.records()


def _start_and_kill(checkout: Checkout, draw: random.Random, left: int, kills: Counter) -> int:
    """Start the grid and kill what trains until it ends or Snakemake was the victim; returns the status of Snakemake."""
    checkout.unlock()
    snakemake = checkout.start()
    while snakemake.poll() is None:
        pause = time.monotonic() + draw.uniform(0.2, 9)
        while time.monotonic() < pause and snakemake.poll() is None:
            time.sleep(0.05)
        if left <= 0 or snakemake.poll() is not None:
            continue
        trainers, forks = checkout.trainers()
        victims = [("a trainer", trainers), ("a fork of a trainer", forks)]
        among = [(name, process) for name, group in victims for process in group]
        # Snakemake is one among its jobs; where nothing trains yet it is the only one.
        name, victim = draw.choice([*among, ("Snakemake", psutil.Process(snakemake.pid))])
        try:
            victim.kill()
        except psutil.NoSuchProcess:  # it ended first
            continue
        kills[name] += 1
        left -= 1
    return snakemake.returncode
