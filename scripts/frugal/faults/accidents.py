"""Accidents with disks, files and clocks, one after another; each is followed by a plain start of the same command."""

import os
import shutil
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from frugal.faults.checkout import TABLES, Checkout, Grid, Outcome, differing, seconds

SMALL = Grid(strategies=("full", "ema-4-16"))
LETTERS = """
letters:
  source: idx
  shape: [1, 12, 12]
  classes: 10
  validation: 100
  options: {folders: [letters], files: [train-images, train-labels, test-images, test-labels]}
"""
NO_TMPFS = "a small disk can't be mounted here (it takes root)"


def accidents(names: list[str], source: Path, folder: Path, report: Callable[[str], None]) -> list[Outcome]:
    """Each accident of NAMES that is asked for, in a checkout of its own under `folder`; report: called with what is tried."""
    expected, found = Checkout(source, folder / "reference", SMALL).undisturbed(), []
    for accident in (one for one in ACCIDENTS if one.__name__ in names):
        name = (accident.__doc__ or "").splitlines()[0].rstrip(".")
        report(name)
        checkout = Checkout(source, folder / accident.__name__, SMALL)
        try:
            said = accident(checkout)
            wrong = differing(checkout.records(), expected)
            found.append(Outcome(name, 1, int(not wrong), f"differ: {', '.join(wrong)}" if wrong else said))
        except Impossible as reason:
            found.append(Outcome(name, None, None, str(reason)))
        except (Lost, OSError) as reason:
            found.append(Outcome(name, 1, 0, str(reason)))
    if VANISHED in names:
        report("A vanished data folder")
        found.append(_vanished(source, folder))
    return found


class Lost(Exception):
    """Something was not as it should be after a fault."""


class Impossible(Exception):
    """This machine doesn't let us try."""


def full_disk(checkout: Checkout) -> str:
    """A full disk."""
    with _Disk(checkout, "size=700k") as disk:
        said = _fails(checkout, "No space left", "disk")
        disk.remount("size=64m")
        _completes(checkout)
        return said


def read_only(checkout: Checkout) -> str:
    """Results that became read-only."""
    with _Disk(checkout, "size=64m") as disk:
        disk.remount("ro")
        said = _fails(checkout, "ead-only", "can't be written")
        disk.remount("rw")
        _completes(checkout)
        return said


def damaged_cache(checkout: Checkout) -> str:
    """A damaged block of a cache."""
    _completes(checkout, "results/demo/runs/compression/digits/cnn-tiny/full/seed-0/metrics.json")
    _flip(checkout.results / "data/digits/train_images.npy")
    said = _fails(checkout, "is damaged")
    _completes(checkout)
    return said


def damaged_checkpoint(checkout: Checkout) -> str:
    """A damaged checkpoint of a run that was killed."""
    run = checkout.results / "runs/compression/digits/cnn-tiny/full/seed-0"
    snakemake = checkout.start()
    while len(list(run.glob("checkpoints/*/step-*.pt"))) < 2:
        demand(snakemake.poll() is None, "it ended before it had two checkpoints")
        time.sleep(0.005)
    for process in checkout.trainers()[0]:
        process.kill()
    snakemake.wait()
    _flip(sorted(run.glob("checkpoints/*/step-*.pt"))[-1])
    _completes(checkout)
    log = (run / "train.log").read_text()
    demand("is damaged" in log, f"the log of the run says nothing: {log}")
    return "warned of in the run's log; the one before it was used"


def damaged_record(checkout: Checkout) -> str:
    """A record cut short."""
    _completes(checkout)
    file = checkout.results / "runs/compression/digits/cnn-tiny/ema-4-16/seed-0/metrics.json"
    whole, before = file.read_text(), checkout.finished()
    file.write_text(whole[: len(whole) // 2])
    status, said = checkout.run()
    demand(status == 0, f"a plain start failed: {said[-600:]}")
    demand("metrics.json: its seal is broken" in said, f"planning doesn't say why: {said[:600]}")
    demand(seconds(checkout.finished()) == seconds(before), "the run was trained again")
    return "its seal is broken: made again from its checkpoint by a plain start, which says so"


def two_at_once(checkout: Checkout) -> str:
    """Two Snakemakes at once."""
    first = checkout.start()
    while not list((checkout.folder / ".snakemake/locks").glob("*")):
        demand(first.poll() is None, "the first ended before it locked anything")
        time.sleep(0.01)
    second = checkout.start(log=checkout.folder / "second.log")
    demand(second.wait() != 0, "the second ran beside the first")
    said = (checkout.folder / "second.log").read_text()
    demand("lock" in said.lower(), said)
    demand(first.wait() == 0, "the first failed")
    return "the second stopped: the folder is locked"


def clock(checkout: Checkout) -> str:
    """A clock that jumped a day ahead while the cache was made, and a day back for a record."""
    _completes(checkout)
    day = 24 * 3600
    for file, ahead in (
        (checkout.results / "data/digits/manifest.json", day),
        *((f, -day) for f in _records(checkout)),
    ):
        os.utime(file, (time.time() + ahead, time.time() + ahead))
    before = checkout.finished()
    _completes(checkout)
    demand(seconds(checkout.finished()) == seconds(before), "runs were trained again")
    return "the runs were asked for again and their checkpoints answered; nothing was trained twice"


ACCIDENTS = (full_disk, read_only, damaged_cache, damaged_checkpoint, damaged_record, two_at_once, clock)
VANISHED = "vanished_data"
NAMES = [*(accident.__name__ for accident in ACCIDENTS), VANISHED]


def _vanished(source: Path, folder: Path) -> Outcome:
    """A data folder that is not there, then there, then gone again."""
    name = "A vanished data folder"
    undisturbed = Checkout(source, folder / "vanished-reference", _letters(folder / "vanished-reference"))
    disturbed = Checkout(source, folder / "vanished", _letters(folder / "vanished"))
    for checkout in (undisturbed, disturbed):
        with open(checkout.folder / "config/datasets.yaml", "a") as file:
            file.write(LETTERS)
        write_letters(checkout.folder / "data/letters")
    expected = undisturbed.undisturbed()
    try:
        (disturbed.folder / "data").rename(disturbed.folder / "elsewhere")
        said = _fails(disturbed, "frugal: ")
        (disturbed.folder / "elsewhere").rename(disturbed.folder / "data")
        _completes(disturbed)
        shutil.rmtree(disturbed.folder / "data")
        shutil.rmtree(disturbed.results / "runs/compression/letters/cnn-tiny/full")
        _completes(disturbed, "results/demo/runs/compression/letters/cnn-tiny/full/seed-0/metrics.json")
    except Lost as reason:
        return Outcome(name, 1, 0, str(reason))
    wrong = differing(disturbed.records(), expected)
    return Outcome(
        name, 1, int(not wrong), f"differ: {', '.join(wrong)}" if wrong else f"{said}; once cached, not missed"
    )


def _letters(folder: Path) -> Grid:
    return Grid(strategies=("full", "ema-4-16"), dataset="letters", data=str(folder / "data"))


def write_letters(folder: Path) -> None:
    """Digits of scikit-learn, padded to 12x12 pixels, as four idx files in a new folder: 900 for training, 300 to test."""
    from sklearn.datasets import load_digits

    folder.mkdir(parents=True)
    bunch = load_digits()
    images = np.pad(np.rint(bunch.images * 255 / 16), ((0, 0), (2, 2), (2, 2)))
    for split, part in (("train", slice(0, 900)), ("test", slice(900, 1200))):
        for what, array in (("images", images[part]), ("labels", bunch.target[part])):
            head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            (folder / f"{split}-{what}").write_bytes(head + array.astype(np.uint8).tobytes())


def demand(holds: bool, otherwise: str) -> None:
    """Raise Lost where it doesn't hold; unlike `assert`, with `python -O` too."""
    if not holds:
        raise Lost(" ".join(otherwise.split())[-300:])


def _completes(checkout: Checkout, target: str = TABLES) -> None:
    status, said = checkout.run(target)
    demand(status == 0, f"a plain start failed: {said[-600:]}")


def _fails(checkout: Checkout, *reasons: str) -> str:
    """The one line that says why, of those that name a reason."""
    status, said = checkout.run()
    demand(status != 0, "it went on as if nothing were")
    lines = [line.strip() for line in said.splitlines() if any(reason in line for reason in reasons)]
    demand(bool(lines), f"it doesn't say why: {said[-600:]}")
    ours = [line for line in lines if line.startswith("frugal: ")] or lines
    return ours[0].removeprefix("frugal: ").replace(str(checkout.folder) + "/", "")


def _records(checkout: Checkout) -> list[Path]:
    return list(checkout.results.glob("runs/*/*/*/*/seed-*/metrics.json"))


def _flip(file: Path) -> None:
    """Turn over every bit of a byte in the middle of a file."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


class _Disk:
    """A small disk in memory under a checkout's results. Raises Impossible where it can't be mounted."""

    def __init__(self, checkout: Checkout, options: str) -> None:
        self.at, self.options = checkout.folder / "results", options

    def __enter__(self) -> "_Disk":
        self.at.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", self.options, "tmpfs", str(self.at)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
            raise Impossible(NO_TMPFS)
        return self

    def remount(self, options: str) -> None:
        """Change how it is mounted."""
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.at)], check=True, capture_output=True)

    def __exit__(self, *_: object) -> None:
        kept = self.at.with_name("kept")
        shutil.copytree(self.at, kept)
        subprocess.run(["umount", "-l", str(self.at)], check=True, capture_output=True)
        self.at.rmdir()
        kept.rename(self.at)
