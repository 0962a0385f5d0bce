"""Generated texts: opinions written by a small grammar, for demos and tests without a download.

A program made them, and the records of runs on them say so.

    "honestly , the waiter at the corner was not rude but the soup we had was bland ."

Each text has two clauses joined by "but", on two different things, each with a good or a bad word that "not" or "never" may
turn round. Its opinion is that of the clause after "but". Which words occur says little of it: a linear model on their
counts gets 61 % of the test texts right, a small Transformer 99 %.
"""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from frugal.data.arrays import Arrays
from frugal.data.text import Tokens

KIND = "text"
OPENINGS = ["", "", "honestly ,", "well ,", "last week", "in the end", "all in all ,", "my sister says", "i think"]
THINGS = [
    "film",
    "soup",
    "hotel",
    "book",
    "waiter",
    "song",
    "room",
    "story",
    "music",
    "dinner",
    "actor",
    "garden",
    "cast",
]
TAILS = [
    "",
    "",
    "we had",
    "at the corner",
    "from spain",
    "on monday",
    "they praise so much",
    "of the year",
    "next door",
]
VERBS = ["was", "is", "seemed", "felt", "looked"]
TURNS = ["not", "never"]
DEGREES = ["", "", "very", "really", "quite", "so", "rather"]
GOOD = [
    "lovely",
    "brilliant",
    "warm",
    "funny",
    "fresh",
    "kind",
    "clever",
    "charming",
    "bright",
    "honest",
    "rich",
    "fine",
]
BAD = ["dull", "bland", "rude", "cold", "stale", "noisy", "clumsy", "boring", "dirty", "false", "poor", "weak"]
ASIDES = ["", "", "", "as usual", "to be fair", "i must say", "they told us", "once more"]


def read(
    folder: Path | None,
    downloads: Path,
    *,
    classes: Literal[2, 4] = 2,
    train_samples: Annotated[int, Ge(8)] = 3000,
    test_samples: Annotated[int, Ge(8)] = 600,
    turned: Annotated[float, Ge(0), Le(1)] = 0.3,
    seed: int = 0,
    vocabulary: Annotated[int, Ge(261)] = 600,
    length: Annotated[int, Ge(3)] = 40,
) -> Arrays:
    """Write the texts; needs neither a folder nor a network.

    classes: 2 for the opinion of the clause after "but" (bad, good), 4 for that of both clauses; train_samples, test_samples: no
    text occurs twice; turned: share of the clauses with "not" or "never"; seed: of the texts; vocabulary, length: of tokens
    """
    draw = np.random.default_rng(seed)
    written: dict[str, int] = {}
    while len(written) < train_samples + test_samples:
        main_good, other_good = draw.random(2) < 0.5
        text = _text(draw, main_good, other_good, turned)
        written.setdefault(text, int(main_good) + 2 * int(other_good) * (classes == 4))
    texts, labels = np.array(list(written), object), np.array(list(written.values()), np.int64)
    return Arrays(
        texts[:train_samples],
        labels[:train_samples],
        texts[train_samples:],
        labels[train_samples:],
        generated=True,
        notes=("written by a grammar, not collected",),
        kind=KIND,
        encoder=Tokens(vocabulary, length),
    )


def _text(draw: np.random.Generator, main_good: bool, other_good: bool, turned: float) -> str:
    first, second = draw.choice(len(THINGS), 2, replace=False)
    main, other = _clause(draw, THINGS[first], main_good, turned), _clause(draw, THINGS[second], other_good, turned)
    return " ".join(f"{draw.choice(OPENINGS)} {other} but {main} {draw.choice(ASIDES)} .".split())


def _clause(draw: np.random.Generator, thing: str, good: bool, turned: float) -> str:
    turn = draw.random() < turned
    word = draw.choice(GOOD if good != turn else BAD)
    parts = [
        "the",
        thing,
        draw.choice(TAILS),
        draw.choice(VERBS),
        draw.choice(TURNS) if turn else "",
        draw.choice(DEGREES),
    ]
    return " ".join([*parts, word])
