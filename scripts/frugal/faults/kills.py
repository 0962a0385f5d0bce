"""Kills by kill -9 of trainers, of their forks and of Snakemake, at random points of a grid that is started again each time."""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from frugal.faults.checkout import Checkout, Grid, Outcome, differing, seconds


def kill(count: int, seed: int, source: Path, folder: Path, report: Callable[[str], None]) -> list[Outcome]:
    """Kill `count` processes in all; returns an outcome for each kind of victim, and one for what all rounds left.

    A round is a grid from nothing to its tables, of runs that are jobs or, every other time, forks of one job; when it
    gets there before the kills are used up, another begins.
    """
    draw, references, rounds = random.Random(seed), {}, []
    while (left := count - sum(one.kills.total() for one in rounds)) > 0:
        large = count > 10  # a few kills need no more
        grid = Grid(seeds=2 if large else 1, epochs=60 if large else 30, grouped=len(rounds) % 2 == 1)
        if grid not in references:
            report("the undisturbed grid")
            references[grid] = Checkout(source, folder / f"reference-{len(references)}", grid).undisturbed()
        number = len(rounds) + 1
        report(f"round {number}, {count - left} of {count} killed before it")
        rounds.append(_round(Checkout(source, folder / f"round-{number}", grid), references[grid], draw, left))
    tried, survived = Counter(), Counter()
    for one in rounds:
        tried += one.kills
        survived += Counter() if one.problems else one.kills
    victims = [
        Outcome(f"kill -9 of {victim}", number, survived[victim], "the grid was started again each time")
        for victim, number in sorted(tried.items())
    ]
    lost = [f"round {number}: {problem}" for number, one in enumerate(rounds, 1) for problem in one.problems]
    fine = "records equal the undisturbed ones; no finished run was trained again"
    intact = sum(not one.problems for one in rounds)
    return [*victims, Outcome("a grid after all of its kills", len(rounds), intact, "; ".join(lost) or fine)]


@dataclass
class _Round:
    """kills: by victim; all of them count as lost where there are problems."""

    kills: Counter
    problems: list[str]


def _round(checkout: Checkout, expected: dict[str, tuple], draw: random.Random, left: int) -> _Round:
    kills, problems, finished, status = Counter(), [], {}, None
    while status != 0:
        undisturbed = kills.total() >= left
        status = _start_and_kill(checkout, draw, left, kills)
        now = seconds(checkout.finished())
        problems += [
            f"{path} was trained again" for path in finished if now.get(path, finished[path]) != finished[path]
        ]
        finished |= now
        if status and undisturbed:
            problems.append((checkout.folder / "snakemake.log").read_text()[-500:])
            break
    checkout.wait_for_trainers()  # a killed Snakemake leaves some behind
    differ = differing(checkout.records(), expected)
    return _Round(kills, [*problems, *(f"the record of {path} is not the undisturbed one" for path in differ)])


def _start_and_kill(checkout: Checkout, draw: random.Random, left: int, kills: Counter) -> int:
    """Start the grid and kill, while fewer than `left` are, what trains or Snakemake; returns the status of Snakemake."""
    checkout.unlock()
    snakemake = checkout.start()
    while snakemake.poll() is None:
        pause = None  # from when something trains, which is what can be lost
        while snakemake.poll() is None and (pause is None or time.monotonic() < pause):
            if pause is None and any(checkout.trainers()):
                pause = time.monotonic() + draw.uniform(0, 7)
            time.sleep(0.05)
        if kills.total() >= left or snakemake.poll() is not None:
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
    return snakemake.returncode
