"""Error rates of a comparison, measured: how often a study calls what is not there, and how often it misses what is.

Studies are drawn from a reference and go through the code that reports use: `simultaneous.compare`, the curve of
`budget_curve`, and `exchange_rate`. A run's accuracy is normal around its strategy's, with the reference's standard deviation at
its budget, of which its seed has a share. Each study has the baseline at all budgets and six strategies: five that cost as much
as the baseline, and the baseline at a smaller budget under another name.
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from scipy.interpolate import PchipInterpolator

from frugal.report.budget_curve import curve_of
from frugal.report.exchange_rate import SAVES, WASTES, exchange_rate
from frugal.report.pool import by_seed, with_others
from frugal.report.power import detectable, seeds_for
from frugal.report.reference import Reference
from frugal.report.simultaneous import compare
from frugal.study import Study

SEEDS = (3, 5, 10)
LOSSES = (0.002, 0.005, 0.01)
STRATEGIES = 6
SHARED = 0.2  # of the variance, by strategies of one seed; 0.16-0.22 on digits. Differences are free of it
PART = 125  # studies drawn with one generator, so that figures don't depend on how many processes share them
ADVISED_MOST = 100  # seeds; a study of more is not simulated
COST = "flops_executed"
FALSE_CALLS, FOUND, COVERED = "false calls", "found", "covered"
TARGETS = {FALSE_CALLS: (0.0, 0.05), FOUND: (0.8, 1.0), COVERED: (0.93, 0.97)}


@dataclass(frozen=True)
class Part:
    """Some studies of one kind: "same", "loss" or "coverage"."""

    reference: Reference
    kind: str
    seeds: int
    studies: int
    number: int
    losses: tuple[float, ...] = LOSSES


@dataclass(frozen=True)
class Rate:
    """A rate over studies. low, high: its own 95 % interval (Clopper and Pearson); met: None without a target."""

    kind: str
    what: str
    seeds: int
    hits: int
    of: int
    target: tuple[float, float] | None

    @property
    def value(self) -> float:
        """The share of the studies."""
        return self.hits / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, by Clopper and Pearson."""
        found = stats.binomtest(self.hits, self.of).proportion_ci(0.95, "exact")
        return float(found.low), float(found.high)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; missed only where the whole interval misses it, since a rate of 1,000 studies scatters."""
        if self.target is None:
            return None
        low, high = self.interval
        return low <= self.target[1] and high >= self.target[0]


def measure(reference: Reference, studies: int = 1000, processes: int = 1) -> list[Rate]:
    """All rates. studies: of each kind and number of seeds; intervals are covered over twice as many.

    The same for any number of processes.
    """
    parts, advised = [], advised_seeds(reference, 0.005)
    for seeds in SEEDS:
        for kind, count in (("same", studies), ("loss", studies), ("coverage", 2 * studies)):
            parts += _parts(reference, kind, seeds, count)
    if advised and advised <= ADVISED_MOST:
        parts += _parts(reference, "advised", advised, studies, (0.005,))
    if processes > 1:
        with ProcessPoolExecutor(processes) as pool:
            found = list(pool.map(_rates_of, parts))
    else:
        found = [_rates_of(part) for part in parts]
    counts: dict[tuple[str, str, int], list[int]] = {}
    for part, rates in zip(parts, found, strict=True):
        for (kind, what), (hits, of) in rates.items():
            one = counts.setdefault((kind, what, part.seeds), [0, 0])
            one[0], one[1] = one[0] + hits, one[1] + of
    return [
        Rate(kind, what, seeds, hits, of, TARGETS[kind] if _has_target(kind, what) else None)
        for (kind, what, seeds), (hits, of) in counts.items()
    ]


def advised_seeds(reference: Reference, margin: float) -> int | None:
    """The seeds that `seeds_for` advises for a margin, with the spread of the reference at its largest budget."""
    return seeds_for(margin, float(reference.table["sd"].iloc[-1]), STRATEGIES)


def seen(reference: Reference) -> dict[int, float]:
    """By number of seeds, the smallest difference that is found with 80 % power."""
    sd = float(reference.table["sd"].iloc[-1])
    return {seeds: detectable(sd, STRATEGIES * (seeds - 1), seeds, STRATEGIES) for seeds in SEEDS}


def _parts(
    reference: Reference, kind: str, seeds: int, studies: int, losses: tuple[float, ...] = LOSSES
) -> Iterator[Part]:
    for number in range(-(-studies // PART)):
        yield Part(reference, kind, seeds, min(PART, studies - number * PART), number, losses)


def _has_target(kind: str, what: str) -> bool:
    return kind != FOUND or "seeds advised" in what


def _rates_of(part: Part) -> dict[tuple[str, str], tuple[int, int]]:
    """Hits and studies by kind and what."""
    kinds = ("same", "loss", "coverage", "advised")
    generator = np.random.default_rng([kinds.index(part.kind), part.seeds, part.number])
    one = {"same": _same, "loss": _loss, "advised": _loss, "coverage": _coverage}[part.kind]
    rows = [one(part, generator) for _ in range(part.studies)]
    return {key: (int(sum(row[key] for row in rows)), len(rows)) for key in rows[0]}


class _Drawn:
    """One study: runs of the strategies, the baseline's curve, and the table that reports make of them."""

    def __init__(self, part: Part, generator: np.random.Generator, shifts: np.ndarray):
        """shifts: (STRATEGIES - 1,) true differences of those that cost as much as the baseline"""
        table = part.reference.table
        self.budgets, means, sds = (table[name].to_numpy(float) for name in ("budget", "mean", "sd"))
        self.middle = max(len(self.budgets) - 2, 0)
        own = [*range(len(self.budgets)), *[len(self.budgets) - 1] * len(shifts), self.middle]
        true = means[own] + np.r_[np.zeros(len(self.budgets)), shifts, 0.0]
        noise = np.sqrt(1 - SHARED) * generator.standard_normal((len(own), part.seeds))
        noise += np.sqrt(SHARED) * generator.standard_normal(part.seeds)
        self.values = true[:, None] + sds[own, None] * noise
        self.true = true - means[-1]
        names = [*(f"full@{budget:g}" for budget in self.budgets[:-1]), "full"]
        names += [*(f"s{i}" for i in range(len(shifts))), "smaller"]
        costs = self.budgets[own]
        flat = lambda rows: pd.DataFrame(  # noqa: E731
            {
                "strategy": np.repeat(np.array(names, object)[rows], part.seeds),
                "budget": np.repeat(self.budgets[own][rows], part.seeds),
                "seed": np.tile(np.arange(part.seeds), len(rows)),
                "test_accuracy": self.values[rows].ravel(),
                COST: np.repeat(costs[rows], part.seeds),
            }
        )
        rows = list(range(len(self.budgets) - 1, len(own)))
        runs = flat(rows).rename(columns={"test_accuracy": "value"})
        self.table, pool = compare(runs[["strategy", "seed", "value"]], "full")
        self.names, self.part = names, part
        study = Study.model_construct(
            baseline="full",
            strategies=names[len(self.budgets) - 1 :],
            budgets={"full": dict(zip(names, self.budgets.tolist(), strict=False))},
        )
        everything = flat(list(range(len(own))))
        pool = with_others(pool, by_seed(everything), study.strategies)
        self.curve, self.wider, _ = curve_of(study, everything, pool)

    def rate(self, name: str, cost: float | None = None, level: float | None = None) -> object:
        """The exchange rate as a report has it: by the simultaneous interval."""
        row = self.names.index(name)
        own = self.budgets[self.middle] if name == "smaller" else self.budgets[-1]
        runs = pd.DataFrame({"test_accuracy": self.values[row], COST: np.full(self.part.seeds, cost or own)})
        told = self.table["level"][name]
        return exchange_rate(
            self.curve, runs, COST, level or (told if told == told else 0.95), self.wider.get(name, 1.0)
        )


def _same(part: Part, generator: np.random.Generator) -> dict[tuple[str, str], bool]:
    """The baseline against itself: six copies of it."""
    drawn = _Drawn(part, generator, np.zeros(STRATEGIES - 1))
    copies = [f"s{i}" for i in range(STRATEGIES - 1)]
    low, high = drawn.table["difference_low"][copies], drawn.table["difference_high"][copies]
    called = (low > 0) | (high < 0)
    rates = [drawn.rate(name) for name in [*copies, "smaller"]]
    own = drawn.rate("s0", level=0.95)
    return {
        (FALSE_CALLS, "a difference, one copy of the baseline"): bool(called.iloc[0]),
        (FALSE_CALLS, "a difference, any of the copies"): bool(called.any()),
        (FALSE_CALLS, "a saving, one copy at the smaller budget"): rates[-1].verdict == SAVES,
        (FALSE_CALLS, "a saving, any of the copies"): any(rate.verdict == SAVES for rate in rates),
        (FALSE_CALLS, "a waste, one copy of the baseline"): rates[0].verdict == WASTES,
        (FALSE_CALLS, "a waste, any of the copies"): any(rate.verdict == WASTES for rate in rates),
        (FALSE_CALLS, "1 outside the 95 % interval of the exchange rate of one copy"): not own.low <= 1 <= own.high,
    }


def _loss(part: Part, generator: np.random.Generator) -> dict[tuple[str, str], bool]:
    """Strategies that lose so many points, and spend as much as the baseline."""
    shifts = np.zeros(STRATEGIES - 1)
    shifts[: len(part.losses)] = [-loss for loss in part.losses]
    drawn = _Drawn(part, generator, shifts)
    more = ", seeds advised for it" if part.kind == "advised" else ""
    found = {}
    for place, loss in enumerate(part.losses):
        name = f"s{place}"
        found[FOUND, f"a loss of {100 * loss:g} points, as a difference{more}"] = (
            drawn.table["difference_high"][name] < 0
        )
        found[FOUND, f"a loss of {100 * loss:g} points, as a waste"] = drawn.rate(name).verdict == WASTES
    return found


def _coverage(part: Part, generator: np.random.Generator) -> dict[tuple[str, str], bool]:
    """Strategies that are better and worse by some standard deviations: do intervals hold what is true?"""
    sd = part.reference.table["sd"].iloc[-1]
    shifts = generator.normal(0, 2 * sd, STRATEGIES - 1)
    # One of them has the accuracy of a budget between the ends, at a cost of its own: its exchange rate is known.
    budgets, means = (part.reference.table[name].to_numpy(float) for name in ("budget", "mean"))
    matched = np.exp(generator.uniform(*np.log(budgets[[0, -1]])))
    rising = np.maximum.accumulate(means)
    if len(budgets) > 1:
        shifts[0] = PchipInterpolator(np.log(budgets), rising)(np.log(matched)) - means[-1]
    drawn = _Drawn(part, generator, shifts)
    others = drawn.table.index[1:]
    true = pd.Series(drawn.true[len(budgets) :], index=others)
    inside = (drawn.table["difference_low"][others] <= true) & (true <= drawn.table["difference_high"][others])
    mean = means[-1] + drawn.true[len(budgets) - 1]
    found = {
        (COVERED, "all differences of a study, simultaneous"): bool(inside.all()),
        (COVERED, "mean of the baseline"): bool(drawn.table["low"]["full"] <= mean <= drawn.table["high"]["full"]),
    }
    if len(budgets) > 1 and part.number % 2 == 0:  # half of them: it takes as long as all the rest
        rate = drawn.rate("s0", cost=0.5, level=0.95)
        found[COVERED, "exchange rate between the ends of the curve"] = bool(rate.low <= matched / 0.5 <= rate.high)
    return found
