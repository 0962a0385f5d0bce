"""Training decoded from image files is the training from the cache, bit for bit; what is wrong with a file is one line."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

import photos
import tiny
from forks import TRAINING
from frugal.data import files
from frugal.data.files import Files
from frugal.data.listing import Listing
from frugal.errors import FrugalError
from frugal.training.signals import Interrupted
from frugal.training.writer import metrics
from memory import Kept

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]
COUNTED = ("bytes_read", "compression_ratio", "fingerprint")  # what of a record says how it was read


@pytest.fixture
def pictures(tmp_path):
    home = tmp_path / "data" / "photos"
    photos.write(home)
    return home


@pytest.fixture
def cache(pictures, tmp_path):
    return photos.prepared(tmp_path)


def trainer(cache, run=None, residency="files", **options):
    return tiny.trainer(cache, run or photos.spec(), residency=residency, workers=2, **options)


def workers():
    """Processes that decode: children of the fork server."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ended meanwhile
            if any("forkserver" in " ".join(parent.cmdline()) for parent in process.parents()[:1]):
                found.append(process)
    return found


def gone(processes):
    """Whether they all end; a few seconds are given to them."""
    return not psutil.wait_procs(processes, timeout=20)[1]


def outcome(run):
    return {key: value for key, value in tiny.outcome(metrics(run, "")).items() if key not in COUNTED}


def test_the_listed_files_are_the_rows_of_the_cache(cache, pictures):
    listing, rows = Listing.read(cache), cache.array("train_images")
    names = [listing.file(sample)[0] for sample in range(len(rows))]
    assert len(set(names)) == len(rows) == 23  # of 30, without 6 of validation and a damaged one
    assert all(os.path.getsize(name) == listing.file(sample)[1] for sample, name in enumerate(names))
    store = Files(cache, CPU, 1)
    np.testing.assert_array_equal(store.take(torch.arange(23), None).numpy(), rows)
    assert store.bytes_read == sum(os.path.getsize(name) for name in names)


def test_moving_the_images_leaves_the_cache_what_it_is(cache, pictures, tmp_path):
    pictures.rename(pictures.parent / "elsewhere")
    again = photos.prepared(tmp_path, folders=["elsewhere"])
    assert again.manifest["folder"] != cache.manifest["folder"]
    assert again.checksum == cache.checksum


@pytest.mark.parametrize("run", [photos.spec(), photos.spec("infobatch", prune_ratio=0.5)], ids=["full", "infobatch"])
def test_a_run_stopped_on_the_way_ends_like_one_from_the_cache(cache, run):
    resident = trainer(cache, run, residency="device")
    resident.run()
    stopped = trainer(cache, run, checkpoints=Kept(), checkpoint_seconds=1e9)
    after_step = stopped.strategy.after_step
    stopped.strategy.after_step = lambda t: (
        t.ledger.steps == 6 and os.kill(os.getpid(), signal.SIGTERM) or after_step(t)
    )
    with pytest.raises(Interrupted):
        stopped.run()
    assert gone(workers())
    continued = trainer(cache, run, checkpoints=stopped.checkpoints, checkpoint_seconds=1e9)
    continued.run()
    assert gone(workers())
    assert torch.equal(torch.cat(continued.history.curve), torch.cat(resident.history.curve))
    assert torch.equal(continued.losses, resident.losses)
    assert outcome(continued) == outcome(resident)
    assert any("training images decoded from files by 2 workers" in note for note in continued.notes)
    assert not any("residency changed" in note for note in continued.notes)
    listing = Listing.read(cache)
    if run.strategy.use == "full":
        assert continued.ledger.bytes_read == 3 * sum(listing.file(sample)[1] for sample in range(23))


def test_a_run_resumed_from_the_cache_says_what_its_bytes_count(cache):
    first = trainer(cache, checkpoints=Kept(), checkpoint_seconds=0)
    first.run()
    second = trainer(cache, residency="device", checkpoints=first.checkpoints)
    second.run()
    assert any("residency changed within this run" in note for note in second.notes)


def test_workers_stay_from_epoch_to_epoch(cache):
    run, seen = trainer(cache), []
    run.strategy.after_epoch = lambda _: seen.append({p.pid for p in workers()})
    run.run()
    assert len(seen[0]) == 2
    assert seen[0] == seen[1] == seen[2]


def test_random_numbers_of_the_model_are_those_of_a_run_from_the_cache(cache):
    store = Files(cache, CPU, 1)
    before = torch.get_rng_state()
    store.follow(torch.arange(6), [(0, 6)], None)
    assert torch.equal(torch.get_rng_state(), before)
    store.close()


def spoil_vanish(path):
    os.remove(path)


def spoil_grow(path):
    with open(path, "ab") as stream:
        stream.write(b"more")


def spoil_content(path):
    size = os.path.getsize(path)
    with open(path, "wb") as stream:
        stream.write(bytes(size))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_vanish, "can't be read any more: No such file or directory; put it back"),
        (spoil_grow, r"bytes and had [\d,]+ when it was prepared"),
        (spoil_content, "is damaged since it was prepared"),
    ],
)
@pytest.mark.parametrize("when", ["before the run", "in the second epoch"])
def test_a_file_that_is_not_as_it_was_prepared_is_named_in_one_line(cache, spoil, said, when, monkeypatch):
    monkeypatch.setattr(files, "COMPARED", 2)
    path, _ = Listing.read(cache).file(9)
    if when == "before the run":
        spoil(path)
    run = trainer(cache)
    run.strategy.after_epoch = lambda t: t.epoch == 0 and os.path.exists(path) and spoil(path)
    with pytest.raises(FrugalError, match=said) as error:
        run.run()
    assert path in str(error.value)
    assert "snakemake --forcerun prepare" in str(error.value)
    assert "\n" not in str(error.value)


def test_files_that_decode_to_other_pixels_than_the_cache_holds_stop_the_run(cache, monkeypatch):
    real = files.picture
    monkeypatch.setattr(files, "picture", lambda *how: (255 - real(*how)[0], None))
    with pytest.raises(FrugalError, match="does not decode to what the cache holds"):
        trainer(cache)


@pytest.mark.parametrize("hook", ["after_epoch", "after_step"])
def test_a_worker_that_is_killed_stops_the_run(cache, hook):
    run = trainer(cache, photos.spec(batch_size=2))

    def kill(_):
        for process in workers():
            with suppress(psutil.NoSuchProcess):  # killed a step before
                process.kill()

    setattr(run.strategy, hook, kill)
    with pytest.raises(FrugalError, match="a process that decodes images was killed.*lower `workers`"):
        run.run()
    assert gone(workers())


def test_workers_are_started_with_the_signals_of_a_stop_blocked(cache):
    """One that came before a worker had learnt to ignore it ended the worker, and with it the run, before it had saved."""
    run, masks = trainer(cache), {}

    def look(_):
        for process in workers():
            status = Path(f"/proc/{process.pid}/status").read_text()
            masks[process.pid] = int(status.split("SigBlk:")[1].split()[0], 16)

    run.strategy.after_step = look
    run.run()
    assert masks
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        assert all(mask >> (number - 1) & 1 for mask in masks.values())
        assert number not in signal.pthread_sigmask(signal.SIG_BLOCK, ()), "the run itself hears it"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_a_run_that_ends_in_any_way_leaves_no_process(cache, tmp_path, number):
    """A signal to the whole group, as a scheduler sends it, lets the trainer save first: its workers go on until it ends."""
    run, manifest = photos.spec(epochs=10_000), tmp_path / "cache" / "manifest.json"
    command = ["scripts/train.py", "--spec", run.model_dump_json(), "--cache", manifest]
    command += ["--out", tmp_path / "run", "--device", "cpu", "--residency", "files", "--workers", "2"]
    process, said = TRAINING.start(command, cwd=ROOT, session=True), ""
    while not (line := next((line for line in said.splitlines() if line.startswith("epoch ")), "")):
        assert process.poll() is None, said
        time.sleep(0.02)
        said += process.stderr.read()
    family = psutil.Process(process.pid).children(recursive=True)
    if number == signal.SIGKILL:
        process.kill()
    else:
        os.killpg(process.pid, number)
    process.wait()
    assert gone(family), line
    assert len(family) >= 3
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 128 + signal.SIGTERM)
    assert bool(list((tmp_path / "run").rglob("checkpoints/*"))) == (number == signal.SIGTERM)


@pytest.mark.parametrize(
    ("use", "changes", "said"),
    [
        ("compression", {}, "reads DCT coefficients, and residency: files decodes pixels"),
        ("full", {"images": False}, "the cache holds nothing else"),
    ],
)
def test_files_are_not_decoded_to_coefficients(pictures, tmp_path, use, changes, said):
    parameters = {"k_lo": 2, "k_hi": 5, "rule": "ema"} if use == "compression" else {}
    with pytest.raises(FrugalError, match=said):
        trainer(photos.prepared(tmp_path, **changes), photos.spec(use, **parameters))


def test_data_of_another_source_has_no_files_to_decode(digits):
    with pytest.raises(FrugalError, match="residency: files .* digits has none, its source is digits"):
        tiny.trainer(digits, residency="files")


def test_a_cache_without_a_list_of_files_is_to_be_prepared_again(cache):
    del cache.manifest["decoding"]
    with pytest.raises(FrugalError, match="did not list its training files; remove it and run again"):
        trainer(cache)
