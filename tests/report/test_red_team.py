"""A red team: ways to make Frugal print a better figure than was earned, and what the audit says of each.

`pytest -rA -n 0 tests/report/test_red_team.py` prints the table: a line per cheat, and what finds it. Cheats that can't be found
from a record stand at its end, each with the reason, and a test that they are indeed not found: a page must not promise more.
A cheat is a change of honest records, sealed anew as a run would seal them, or a strategy that is really trained.
"""

import json
import shutil
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch

import tiny
from frugal.measure.clock import SCHEDULED
from frugal.recipe import DEFAULTS
from frugal.report import audit, copies, evidence, heldout, terms, timing
from frugal.report.records import read_records
from frugal.report.reported import savings
from frugal.report.tables import tabulate
from frugal.strategies.base import EpochPlan, Strategy
from frugal.study import merged, study_of
from frugal.training import trainer as training
from frugal.training.writer import manifest, metrics, write_record
from report import factory

SEEDS = (0, 1, 2)


def of(root: Path, strategy: str, seed: int) -> Path:
    """The folder of a record; names of strategies are those of one study only."""
    return next(root.glob(f"runs/*/*/*/{strategy}")) / f"seed-{seed}"


def changed(folder: Path, name: str, keys: dict) -> None:
    file = folder / name
    content = json.loads(file.read_text())
    for key, value in keys.items():
        content[key] = content[key] | value if isinstance(value, dict) and isinstance(content.get(key), dict) else value
    file.write_text(json.dumps(content))


def told(
    strategy: str, seeds: tuple[int, ...] = (1,), history: Callable | None = None, sealed=True, about=None, **keys
):
    """A cheat that writes other figures. keys: of metrics.json; about: of manifest.json; history: table -> table; sealed:
    whether the seal is made anew, as the run itself would make it
    """

    def cheat(root: Path) -> None:
        for seed in seeds:
            folder = of(root, strategy, seed)
            changed(folder, "metrics.json", keys)
            if history:
                history(pd.read_csv(folder / "history.csv")).to_csv(folder / "history.csv", index=False)
            if sealed:
                manifest_changed(folder, about or {})
            elif about:
                changed(folder, "manifest.json", about)

    return cheat


def manifest_changed(folder: Path, about: dict) -> None:
    changed(folder, "manifest.json", about)
    factory.seal(folder)


def times(factor: float, *names: str) -> Callable[[Path], None]:
    """Multiplies figures of the baseline's metrics, and of its history where they are."""

    def cheat(root: Path) -> None:
        for seed in SEEDS:
            file = of(root, "full", seed) / "metrics.json"
            content = json.loads(file.read_text())
            file.write_text(json.dumps(content | {name: content[name] * factor for name in names}))
            history = pd.read_csv(file.with_name("history.csv"))
            history[list(history.columns.intersection(names))] *= factor
            history.to_csv(file.with_name("history.csv"), index=False)
            factory.seal(file.parent)

    return cheat


def noisy(share: float, own_seconds: bool = True) -> Callable[[Path], None]:
    """infobatch is full's record with noise on its losses."""

    def cheat(root: Path) -> None:
        for seed in SEEDS:
            mine, theirs = of(root, "infobatch", seed), of(root, "full", seed)
            table = pd.read_csv(theirs / "iterations.csv")
            table["loss"] *= np.exp(np.random.default_rng(seed).normal(0, share, len(table)))
            table.to_csv(mine / "iterations.csv", index=False)
            if not own_seconds:
                history = pd.read_csv(mine / "history.csv")
                history["train_seconds"] = pd.read_csv(theirs / "history.csv")["train_seconds"]
                history.to_csv(mine / "history.csv", index=False)
                changed(mine, "metrics.json", {"train_seconds": history["train_seconds"].iloc[-1]})
            factory.seal(mine)

    return cheat


def already_trained(root: Path) -> None:
    for seed in SEEDS:
        folder = of(root, "infobatch", seed)
        table = pd.read_csv(folder / "iterations.csv")
        table["loss"] *= 0.1
        table.to_csv(folder / "iterations.csv", index=False)
        factory.seal(folder)


def copy_of_another(strategy: str, seed: int, to: tuple[str, int], renamed: bool) -> Callable[[Path], None]:
    """A record copied into another place; renamed: with strategy and seed written over, and sealed."""

    def cheat(root: Path) -> None:
        target = of(root, *to)
        shutil.rmtree(target)
        shutil.copytree(of(root, strategy, seed), target)
        if renamed:
            changed(target, "metrics.json", {"strategy": to[0], "seed": to[1]})
            about = {"spec": {"strategy": {"name": to[0]}, "seed": to[1]}}
            changed(target, "manifest.json", {**about, "run": "/".join(target.parts[-5:])})
            factory.seal(target)

    return cheat


def copied_checkpoint(root: Path) -> None:
    """infobatch goes on from full's checkpoint of the first epoch: its own losses, but that epoch's clock."""
    mine, theirs = of(root, "infobatch", 1), of(root, "full", 1)
    history, other = (pd.read_csv(folder / "history.csv") for folder in (mine, theirs))
    history.loc[0, "train_seconds"] = other.loc[0, "train_seconds"]
    history.to_csv(mine / "history.csv", index=False)
    factory.seal(mine)


def more_seeds(root: Path) -> None:
    for strategy in factory.SELECTION:
        shutil.copytree(of(root, strategy, 0), of(root, strategy, 0).with_name("seed-7"))


def without(strategy: str, seed: int) -> Callable[[Path], None]:
    return lambda root: shutil.rmtree(of(root, strategy, seed))


def joules(root: Path) -> None:
    for strategy in factory.SELECTION:
        source = "zeus: GPU by NVML" if strategy == "full" else "zeus: CPU by RAPL"
        told(strategy, SEEDS, energy_joules=500.0, energy_source=source)(root)


def epoch_chosen(root: Path) -> None:
    folder = of(root, "infobatch", 1)
    best = pd.read_csv(folder / "history.csv")["test_accuracy"].max()
    told("infobatch", test_accuracy=float(best))(root)


def stopped_early(root: Path) -> None:
    folder = of(root, "infobatch", 1)
    history = pd.read_csv(folder / "history.csv").iloc[:2]
    history.to_csv(folder / "history.csv", index=False)
    rows = pd.read_csv(folder / "iterations.csv").iloc[:40]
    rows.to_csv(folder / "iterations.csv", index=False)
    last, accuracy = history.iloc[-1], float(history["test_accuracy"].iloc[-1])
    figures = {name: float(last[name]) for name in ("train_seconds", "flops_executed", "val_accuracy")}
    counts = {"samples_backpropagated": int(history["samples"].sum()), "bytes_read": int(history["bytes_read"].sum())}
    best = {"best_val_accuracy": float(history["val_accuracy"].max()), "test_accuracy": accuracy}
    told("infobatch", epochs=2, steps=40, **figures, **counts, **best)(root)


def nothing_left_out(root: Path) -> None:
    """infobatch with all of full's counts, and its own seconds."""
    counts = ("samples_backpropagated", "samples_forwarded", "bytes_read", "flops_executed")
    for seed in SEEDS:
        theirs = of(root, "full", seed)
        whole = pd.read_csv(theirs / "history.csv")[["samples", "bytes_read", "flops_executed"]]
        figures = json.loads((theirs / "metrics.json").read_text())
        given = {name: figures[name] for name in counts}
        told("infobatch", (seed,), lambda t, whole=whole: t.assign(pruned_share=0.0, **whole), **given)(root)


def column(name: str, values: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda table: table.assign(**{name: values(table) if callable(values) else values})


class Half(Strategy):
    """An honest one."""

    def plan_epoch(self, epoch, losses):
        return EpochPlan(keep=torch.arange(len(losses)) % 2 == epoch % 2)

    def evidence(self):
        return {"pruned_share": 0.5}


# Strategies that cheat, really trained.


class Honest(Strategy):
    """The baseline."""


class OnlyTells(Strategy):
    def evidence(self):
        return {"cleverness": 1.0}


class TellsOfPruning(Strategy):
    def evidence(self):
        return {"pruned_share": 0.5}


class TellsOfZeros(Strategy):
    def left_out(self):
        return 0, 700

    def evidence(self):
        return {"kept_weights": 742, "sparsity": 700 / 1442}


class StepsTwice(Strategy):
    def after_step(self, training):
        training.optimizer.step()


class TrainsInFinish(Strategy):
    def finish(self, training):
        for _ in range(3):
            training.optimizer.step()  # with the gradients of the last batch; what counts is that nobody counts
        return True


class OpensTest(Strategy):
    def after_epoch(self, training):
        training.open("test")


class OpensTestBehindTheTrainer(Strategy):
    def after_epoch(self, training):
        training.cache.array("test_labels")


class OpensValidation(Strategy):
    def after_step(self, training):
        training.open("validation")


class SkipsEpochs(Strategy):
    def after_epoch(self, training):
        training.epoch += 1


class HoldsValidation(Half):
    def after_step(self, training):
        training.validation_data.labels.float().mean()


class Sleeps(Strategy):
    def after_epoch(self, training):
        time.sleep(0.3)


class Cheat(NamedTuple):
    """by: what it does, to honest records or as strategy; of: the study; finds: the finding, None where nothing finds it;
    word: of the finding's text, or the reason why it can't be found; baseline: a strategy in the place of the baseline
    """

    name: str
    by: Callable[[Path], None] | type[Strategy]
    finds: str | None
    word: str
    of: Callable[..., dict] = factory.selection
    changes: dict = {}  # noqa: RUF012  never written
    baseline: type[Strategy] = Honest


SHORT = factory.selection()["recipe"]
OTHER_CODE = {"code": {"scripts/frugal/training/loop.py": "c" * 64}}
GONE = lambda keys: lambda table: table.drop(columns=keys)  # noqa: E731

CHEATS = [
    # Work that was not left out
    Cheat("does nothing but tells evidence", OnlyTells, copies.IDENTICAL, "never took effect"),
    Cheat("says it pruned half of the samples", TellsOfPruning, evidence.CONTRADICTED, "samples; 300 were counted"),
    Cheat("says half of its weights are held at zero", TellsOfZeros, evidence.CONTRADICTED, "are not zero"),
    Cheat(
        "counts fewer samples than its epochs add up to",
        told("infobatch", samples_backpropagated=60_000),
        evidence.CONTRADICTED,
        "add up to",
    ),
    Cheat(
        "says that its sparse layers lack more than they do",
        told("block-4x4", history=lambda t: t.assign(kept_weights=10_000, sparsity=0.9)),
        evidence.CONTRADICTED,
        "90,000 weights are left out, the net lacks 50,000",
        factory.sparsity,
    ),
    Cheat(
        "shares of its levels that are more than everything",
        told("ema-4-16", history=column("share_k16", 0.9)),
        evidence.CONTRADICTED,
        "not to 1",
        factory.study,
    ),
    Cheat(
        "saves without saying how",
        told("infobatch", history=GONE("pruned_share")),
        evidence.UNPROVEN,
        "no column of history.csv",
    ),
    Cheat(
        "a smaller net as a way to leave out samples",
        told("infobatch", SEEDS, live_parameters=50_000, nonzero_parameters=50_000, model_bytes=200_000),
        evidence.UNPROVEN,
        "tells of samples only",
    ),
    Cheat(
        "a control that isn't as small as the run it repeats",
        told(
            "random-subset", SEEDS, lambda t: t.assign(samples=54_000, pruned_share=0.0), samples_backpropagated=162_000
        ),
        terms.UNLIKE,
        "no control of equal cost",
        changes={"follows": {"random-subset": "infobatch"}},
    ),
    # Work that was done elsewhere
    Cheat("takes two optimizer steps for one", StepsTwice, timing.UNCOUNTED, "27 steps beside the 27"),
    Cheat("trains on in finish()", TrainsInFinish, timing.UNCOUNTED, "3 steps beside the 27"),
    Cheat(
        "works in preparation",
        told("infobatch", SEEDS, other_seconds=60.0),
        timing.UNTIMED,
        "in preparation, evaluation",
    ),
    Cheat(
        "works in evaluation", told("infobatch", SEEDS, evaluation_seconds=60.0), timing.UNTIMED, "add them to its time"
    ),
    Cheat(
        "works on more cores than the job has",
        told("infobatch", cpu_seconds=80.0),
        timing.MORE_THREADS,
        "cores for 1 threads",
    ),
    Cheat(
        "sets more threads", told("infobatch", about={"hardware": {"threads": 2}}), "different hardware", "2 threads"
    ),
    Cheat(
        "a custom operator that the FLOP counter doesn't know",
        told(
            "infobatch",
            flops_source="torch's counter, on the meta device; without cheat::mm (4x), for which it has no formula",
        ),
        terms.NOT_COUNTED,
        "without cheat::mm",
    ),
    Cheat(
        "FLOPs null where others have them",
        told(
            "infobatch",
            history=column("flops_executed", None),
            flops_executed=None,
            flops_source="not counted: it can't be",
        ),
        terms.NOT_COUNTED,
        "it can't be",
    ),
    # A baseline that looks bad
    Cheat("sleeps in the baseline", Honest, timing.IDLE, "it slept", baseline=Sleeps),
    Cheat("saves seconds and nothing else", nothing_left_out, evidence.UNPROVEN, "though no work was left out"),
    Cheat(
        "a baseline on a crowded machine",
        times(30, "train_queued_seconds"),
        timing.CROWDED,
        "crowded machine",
    ),
    Cheat(
        "a baseline with a worse recipe",
        told("infobatch", SEEDS, about={"spec": {"recipe": SHORT | {"rate": 0.01}}}),
        terms.RECIPE,
        "rate 0.01 (baseline 0.001)",
    ),
    Cheat(
        "a baseline that sees half of the samples",
        told("full", SEEDS, lambda t: t.assign(samples=27_000), samples_backpropagated=81_000),
        terms.LESS,
        "27,000 of 54,000",
    ),
    # The test set
    Cheat("opens the test set while training", OpensTest, heldout.OPENED, "test set was opened 3 times"),
    Cheat("opens it in the cache", OpensTestBehindTheTrainer, heldout.OPENED, "test set"),
    Cheat("trains on validation samples", OpensValidation, heldout.OPENED, "validation set was opened 28 times"),
    Cheat(
        "has learnt test samples",
        told(
            "infobatch",
            SEEDS,
            lambda t: t.assign(test_accuracy=1.0, val_accuracy=0.93),
            test_accuracy=1.0,
            val_accuracy=0.93,
            best_val_accuracy=0.93,
        ),
        heldout.KNOWN,
        "learnt test samples",
    ),
    Cheat(
        "has learnt validation samples",
        told(
            "infobatch",
            SEEDS,
            lambda t: t.assign(test_accuracy=0.93, val_accuracy=1.0),
            test_accuracy=0.93,
            val_accuracy=1.0,
            best_val_accuracy=1.0,
        ),
        heldout.KNOWN,
        "learnt validation samples",
    ),
    Cheat("chooses the epoch by the test curve", epoch_chosen, heldout.CHOSEN, "that is epoch 2's"),
    Cheat("stops by looking at the test set", stopped_early, heldout.STOPPED, "2 of 3 epochs"),
    Cheat("skips epochs", SkipsEpochs, audit.LEFT_OUT, "epochs"),
    Cheat(
        "test set changed between runs",
        told("infobatch", SEEDS, about={"data_checksum": "another"}),
        "different data",
        "another",
    ),
    # Seeds
    Cheat("picks the best of several seeds", more_seeds, audit.CHOSEN_SEEDS, "seed-7 is there too"),
    Cheat("drops a bad seed", without("infobatch", 2), audit.MISSING, "2 of 3 seeds"),
    Cheat(
        "a record under another seed", copy_of_another("infobatch", 0, ("infobatch", 1), True), copies.COPIED, "a copy"
    ),
    Cheat(
        "a seed without effect",
        copy_of_another("infobatch", 0, ("infobatch", 1), True),
        copies.IDENTICAL,
        "the seed had",
    ),
    # Copies
    Cheat("another cell's record", copy_of_another("full", 1, ("infobatch", 1), False), audit.LEFT_OUT, "full/1"),
    Cheat("the same, renamed", copy_of_another("full", 1, ("infobatch", 1), True), copies.COPIED, "one fingerprint"),
    Cheat("another's curve with noise", noisy(0.01), copies.ALIKE, "looks like the other with noise"),
    Cheat("another's seconds", noisy(0.5, own_seconds=False), copies.COPIED, "exactly"),
    Cheat("a copied checkpoint", copied_checkpoint, copies.COPIED, "began from the other's checkpoint"),
    Cheat("keeps a result between runs", already_trained, copies.TRAINED_BEFORE, "not begin with an untrained net"),
    # Records changed by hand
    Cheat("metrics edited", told("infobatch", sealed=False, test_accuracy=0.999), audit.LEFT_OUT, "seal is broken"),
    Cheat(
        "history edited", told("infobatch", history=column("train_loss", 0.01), sealed=False), audit.LEFT_OUT, "seal is"
    ),
    Cheat("manifest edited", told("infobatch", sealed=False, about={"resumes": 3}), audit.LEFT_OUT, "manifest.json"),
    Cheat(
        "history and metrics disagree", told("infobatch", best_val_accuracy=0.999), audit.LEFT_OUT, "history.csv says"
    ),
    Cheat("seconds edited", told("infobatch", train_seconds=5.0), audit.LEFT_OUT, "its train_seconds is 5.0, history"),
    Cheat(
        "CPU seconds edited",
        told("infobatch", history=lambda t: t.assign(cpu_seconds=t["train_seconds"]), cpu_seconds=5.0),
        audit.LEFT_OUT,
        "its cpu_seconds is 5.0, history",
    ),
    Cheat(
        "more time in the queue than there was",
        told("infobatch", train_queued_seconds=1000.0),
        audit.LEFT_OUT,
        "its train_queued_seconds, 1000.0, are more than its train_seconds",
    ),
    Cheat("an accuracy above 1", told("infobatch", test_accuracy=1.2), audit.LEFT_OUT, "test_accuracy"),
    Cheat(
        "an accuracy that is no number", told("infobatch", test_accuracy=float("nan")), audit.LEFT_OUT, "test_accuracy"
    ),
    Cheat(
        "a record under another fingerprint",
        told("infobatch", about={"fingerprint": "another"}),
        audit.LEFT_OUT,
        "fingerprint",
    ),
    Cheat(
        "a record of another plan",
        told("infobatch", about={"plan": "an easier one"}),
        audit.LEFT_OUT,
        "not of this plan",
        changes={"plans": {"digits/cnn-tiny": dict.fromkeys(factory.SELECTION, "planned")}},
    ),
    # Unlike terms
    Cheat("two code versions", told("infobatch", SEEDS, about=OTHER_CODE), "different code", "loop.py"),
    Cheat(
        "two machines",
        told("infobatch", SEEDS, about={"hardware": {"cpu": "A Faster CPU"}}),
        "different hardware",
        "Faster",
    ),
    Cheat(
        "two sets of packages", told("full", SEEDS, about={"versions": {"torch": "1.0"}}), "different packages", "1.0"
    ),
    Cheat("joules by other meters", joules, "different meters", "RAPL"),
    Cheat(
        "a clock set back",
        told("infobatch", about={"ended": "2026-11-20T01:00:00+00:00"}),
        timing.BACKWARDS,
        "before it started",
    ),
    # What can't be found from a record: nothing is found, and why
    Cheat(
        "another's curve with much noise",
        noisy(0.5),
        None,
        "noise as large as honest runs differ hides everything; train again, the same seed gives the same record",
    ),
    Cheat(
        "a forged record with a seal of its own",
        told("infobatch", SEEDS, lambda t: t.assign(test_accuracy=0.999), test_accuracy=0.999),
        None,
        "the seal is a checksum, not a signature; train again, the same seed gives the same record",
    ),
    Cheat(
        "seeds chosen and the others deleted",
        lambda root: None,
        None,
        "what isn't there tells nothing; the seeds stand in every report, ask why they are not 0 to n - 1",
        changes={"seeds": list(SEEDS)},
    ),
    Cheat(
        "works in another process or on another machine",
        lambda root: None,
        None,
        "only this process is measured; energy meters of the machine see it, and the source of the strategy says it",
    ),
    Cheat(
        "useless work in the baseline",
        times(2, "train_seconds", "cpu_seconds"),
        None,
        "it looks like work, where the strategy left out some too; a baseline has no hooks, and its source has a checksum",
    ),
    Cheat(
        "forward passes in its hooks",
        told("infobatch", SEEDS, cpu_seconds=21.0),
        None,
        "FLOPs are counted in the loop, by shape; what hooks do is in the seconds, and only there",
    ),
    Cheat(
        "a few test samples from a file of its own",
        told("infobatch", SEEDS, lambda t: t.assign(test_accuracy=0.994), test_accuracy=0.994),
        None,
        "a gain of half a point is within what honest runs differ; read the strategy's source",
    ),
    Cheat(
        "the validation samples that evaluation holds in memory",
        HoldsValidation,
        None,
        "what is read of an open split isn't counted; a net that learnt enough of it shows in the gap to the test set",
    ),
    Cheat(
        "a recipe that is bad for the baseline and good for the strategy",
        lambda root: None,
        None,
        "all share one recipe, which every report prints; only a search for the baseline's best would tell",
    ),
    Cheat(
        "tuned on the test set, in many studies before this one",
        lambda root: None,
        None,
        "no record is left of them; take another data set",
    ),
]


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """Sealed records of honest runs, by study."""
    made = {}

    def records(make: Callable[..., dict]) -> Path:
        if make not in made:
            made[make] = tmp_path_factory.mktemp(make.__name__)
            factory.write_runs(made[make], make())
            for folder in made[make].glob("runs/*/*/*/*/seed-*"):
                factory.seal(folder)
        return made[make]

    return records


def trained(root: Path, cache, monkeypatch, strategy: str, by: type[Strategy]) -> None:
    """A record of one run on the small digits under `root`, in which `by` is the strategy of that name."""
    monkeypatch.setattr(training, "make_strategy", lambda spec, cache: by())
    spec = tiny.spec("full")
    spec = spec.model_copy(update={"strategy": spec.strategy.model_copy(update={"name": strategy})})
    run = tiny.trainer(cache, spec)
    run.run()
    times = dict.fromkeys(("started", "ended"), datetime.now().astimezone().isoformat(timespec="seconds"))
    about = manifest(run, f"{strategy}-of-tiny", {}, times, [])
    write_record(root / "runs" / spec.path, metrics(run, f"{strategy}-of-tiny"), about, run)


def found(root: Path, given: dict) -> pd.DataFrame:
    study = study_of(given)
    there = read_records(study, root)
    return audit.audit(study, there.records, there.left_out, there.foreign)


def without_crowds(table: pd.DataFrame) -> pd.DataFrame:
    """Of that the machine which runs this test may be guilty."""
    return table[table["finding"] != timing.CROWDED]


TINY = {"name": "test", "models": ["cnn"], "strategies": ["full", "cheat"], "seeds": [0], "labels": {}, "controls": []}


def findings_of(cheat: Cheat, honest, digits, tmp_path, monkeypatch) -> pd.DataFrame:
    if isinstance(cheat.by, type):
        trained(tmp_path, digits, monkeypatch, "full", cheat.baseline)
        trained(tmp_path, digits, monkeypatch, "cheat", cheat.by)
        return without_crowds(found(tmp_path, factory.study(**TINY)))
    root = shutil.copytree(honest(cheat.of), tmp_path / "results")
    cheat.by(root)
    return found(root, cheat.of(**cheat.changes))


def line(cheat: Cheat) -> str:
    return f"{cheat.name}: {cheat.finds or 'not found'}"


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return tiny.digits_cache(tmp_path_factory)


@pytest.mark.parametrize("cheat", [one for one in CHEATS if one.finds], ids=line)
def test_a_cheat_is_found(cheat, honest, digits, tmp_path, monkeypatch):
    if cheat.finds == timing.IDLE and not Path(SCHEDULED).exists():
        pytest.skip(f"{SCHEDULED} is missing: idle seconds are null here")
    table = findings_of(cheat, honest, digits, tmp_path, monkeypatch)
    said = table.loc[table["finding"] == cheat.finds, "detail"]
    assert said.str.contains(cheat.word, regex=False).any(), table.to_string()


@pytest.mark.parametrize("cheat", [one for one in CHEATS if not one.finds], ids=line)
def test_what_cannot_be_found_is_not_claimed(cheat, honest, digits, tmp_path, monkeypatch):
    assert cheat.word, "why can't it be found?"
    assert findings_of(cheat, honest, digits, tmp_path, monkeypatch).empty


@pytest.mark.parametrize("of", [factory.study, factory.selection, factory.sparsity])
def test_honest_records_raise_nothing(of, honest):
    assert found(honest(of), of()).empty


def test_an_honest_training_raises_nothing(digits, tmp_path, monkeypatch):
    trained(tmp_path, digits, monkeypatch, "full", Honest)
    trained(tmp_path, digits, monkeypatch, "cheat", Half)
    table = without_crowds(found(tmp_path, factory.study(**TINY)))
    assert table.empty, table.to_string()


def test_one_training_that_is_rounded_otherwise_is_no_copy(honest, tmp_path):
    root = shutil.copytree(honest(factory.selection), tmp_path / "results")
    noisy(0.01)(root)
    for recipe, copies_of in ((SHORT | {"precision": "float16"}, 0), (SHORT | {"label_smoothing": 0.1}, len(SEEDS))):
        told("infobatch", SEEDS, about={"spec": {"strategy": {"name": "infobatch"}, "recipe": recipe}})(root)
        table = found(root, factory.selection())
        assert (table["finding"] == copies.ALIKE).sum() == copies_of
    augment = {"augment": {"mixup": 0.2}}
    assert terms.own_recipe(DEFAULTS, merged(DEFAULTS, augment)) == "augment.mixup 0.2 (baseline None)"


def test_a_recipe_of_its_own_stands_in_every_table(honest, tmp_path):
    root = shutil.copytree(honest(factory.selection), tmp_path / "results")
    told("infobatch", SEEDS, about={"spec": {"recipe": SHORT | {"epochs": 30}}})(root)
    study = study_of(factory.selection())
    tables = tabulate(study, read_records(study, root))
    own = "epochs 30 (baseline 3)"
    for table in (tables.runs, tables.summary):
        of_it = table["strategy"] == "infobatch"
        assert set(table.loc[of_it, "own_recipe"]) == {own}
        assert table.loc[~of_it, "own_recipe"].isna().all()
    tables.write(tmp_path / "tables")
    shown = savings(tmp_path / "tables").set_index("strategy")["own recipe"]
    assert shown[shown != ""].to_dict() == {"infobatch": own}
