"""kill -9 of trainers, of their forks and of Snakemake, at random points of a grid that is started again each time."""

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil

from frugal.faults.checkout import Checkout, Grid
from frugal.faults.outcome import Outcome, differing, seconds


def kill(count: int, seed: int, source: Path, folder: Path, told: Callable[[str], None]) -> list[Outcome]:
    """Kill `count` processes in all; returns an outcome for each kind of victim, and one for what all rounds left.

    A round is a grid from nothing to its tables, of runs that are jobs or, every other time, forks of one job; when it
    gets there before the kills are used up, another begins.
    """
    draw, kills, references, problems, rounds = random.Random(seed), Counter(), {}, {}, 0
    while sum(kills.values()) < count:
        large = count > 10  # a few kills need no more
        grid = Grid(seeds=2 if large else 1, epochs=60 if large else 30, grouped=rounds % 2 == 1)
        if grid not in references:
            told("the undisturbed grid")
            references[grid] = _undisturbed(Checkout(source, folder / f"reference-{len(references)}", grid))
        rounds += 1
        checkout, finished, status = Checkout(source, folder / f"round-{rounds}", grid), {}, None
        problems[rounds] = []
        while status != 0:
            left = count - sum(kills.values())
            status = _start_and_kill(checkout, draw, left, kills)
            told(f"round {rounds}, {sum(kills.values())} of {count} killed")
            now = seconds(checkout.finished())
            again = [path for path in finished if path in now and now[path] != finished[path]]
            problems[rounds] += [f"{path} was trained again" for path in again]
            finished |= now
            if status and left <= 0:  # undisturbed and yet it failed
                problems[rounds].append((checkout.folder / "snakemake.log").read_text()[-500:])
                break
        differ = differing(checkout.records(), references[grid])
        problems[rounds] += [f"the record of {path} is not the undisturbed one" for path in differ]
    victims = [
        Outcome(f"kill -9 of {victim}", number, number, "the grid was started again and went on")
        for victim, number in sorted(kills.items())
    ]
    lost = [f"round {number}: {problem}" for number, found in problems.items() for problem in found]
    fine = "records equal the undisturbed ones; no finished run was trained again"
    intact = sum(not found for found in problems.values())
    return [*victims, Outcome("a grid after all of its kills", rounds, intact, "; ".join(lost) or fine)]


def _undisturbed(checkout: Checkout) -> dict[str, tuple]:
    status, said = checkout.run()
    if status:
        raise RuntimeError(f"the undisturbed grid failed: {said[-1000:]}")
    return checkout.records()


def _start_and_kill(checkout: Checkout, draw: random.Random, left: int, kills: Counter) -> int:
    """Start the grid and kill what trains until it ends or Snakemake was the victim; returns the status of Snakemake."""
    checkout.unlock()
    snakemake = checkout.start()
    while snakemake.poll() is None:
        pause = None  # from when something trains, which is what can be lost
        while snakemake.poll() is None and (pause is None or time.monotonic() < pause):
            if pause is None and any(checkout.trainers()):
                pause = time.monotonic() + draw.uniform(0, 7)
            time.sleep(0.05)
        if left <= 0 or snakemake.poll() is not None:
            continue
        trainers, forks = checkout.trainers()
        victims = [("a trainer", trainers), ("a fork of a trainer", forks)]
        among = [(name, process) for name, group in victims for process in group]
        name, victim = draw.choice([*among, ("Snakemake", psutil.Process(snakemake.pid))])
        try:
            victim.kill()
        except psutil.NoSuchProcess:  # it ended first
            continue
        kills[name] += 1
        left -= 1
    return snakemake.returncode
