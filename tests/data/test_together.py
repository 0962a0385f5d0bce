"""Many jobs that start together: one prepares or copies a cache, the others wait for it and take it."""

import json
import multiprocessing
import sys
import time
from contextlib import contextmanager

import pytest

import tiny
from frugal.data import prepare
from frugal.data.cache import local_copy, open_cache
from frugal.data.lock import exclusive
from frugal.errors import FrugalError

DIGITS = {
    "name": "digits",
    "source": "digits",
    "shape": [1, 8, 8],
    "classes": 10,
    "validation": 180,
    "split_seed": 0,
    "options": {"test_samples": 360, "test_seed": 0},
    "dct": {"bits": 8, "keep": None},
    "images": True,
}


@contextmanager
def together(count, lock, logs, job, *arguments):
    """Forks that do the job, held back until all of them wait for the lock."""

    def logged(number):
        sys.stderr = open(logs / f"{number}.log", "w", buffering=1)  # noqa: SIM115
        job(*arguments)

    processes = [multiprocessing.get_context("fork").Process(target=logged, args=(n,)) for n in range(count)]
    with exclusive(*lock):
        for process in processes:
            process.start()
        files = [logs / f"{n}.log" for n in range(count)]
        while not all(file.exists() and "waiting for another process" in file.read_text() for file in files):
            assert all(process.is_alive() for process in processes)
            time.sleep(0.01)
    for process in processes:
        process.join()
        assert process.exitcode == 0
    yield [file.read_text() for file in files]


def test_of_prepares_that_start_together_one_prepares(tmp_path):
    out = tmp_path / "caches" / "digits"
    with together(3, (out, "prepare"), tmp_path, prepare.prepare, DIGITS, out, tmp_path, None) as logs:
        assert sum("1,257 train" in log for log in logs) == 1
        assert sum("prepared meanwhile by another process" in log for log in logs) == 2
    checksum = open_cache(out / "manifest.json").checksum
    other = {**DIGITS, "split_seed": 1}
    with together(1, (out, "prepare"), tmp_path, prepare.prepare, other, out, tmp_path, None) as logs:
        assert "prepared meanwhile" not in logs[0]
    assert open_cache(out / "manifest.json").checksum != checksum


def test_runs_of_a_node_share_one_copy_of_a_cache(tmp_path, monkeypatch):
    manifest = tiny.write_digits(tmp_path / "far")
    cache = open_cache(manifest)
    monkeypatch.setenv("NODE", str(tmp_path / "near"))
    place = tmp_path / "near" / cache.checksum[:16]
    place.mkdir(parents=True)
    (place / "train_images.npy").write_bytes(b"as far as a killed run came")
    with together(2, (place, "copy"), tmp_path, local_copy, manifest, "$NODE"):
        pass
    near = local_copy(manifest, "$NODE")
    assert near.parent == place
    assert open_cache(near).checksum == cache.checksum
    written = {file.name: file.stat().st_ino for file in place.iterdir()}
    assert local_copy(manifest, "$NODE") == near
    assert {file.name: file.stat().st_ino for file in place.iterdir()} == written
    assert not [name for name in written if name.endswith(".tmp")]


def test_a_copy_that_cannot_be_made_is_one_line(tmp_path, monkeypatch):
    manifest = tiny.write_digits(tmp_path / "far")
    monkeypatch.delenv("NOWHERE", raising=False)
    with pytest.raises(FrugalError, match="'\\$NOWHERE/x', but that variable is not set"):
        local_copy(manifest, "$NOWHERE/x")
    with pytest.raises(FrugalError, match="a file of that name is in the way|a part of that path is a file"):
        local_copy(manifest, str(manifest))
    manifest.write_text(json.dumps({"checksum": "no"}))
    assert local_copy(manifest, str(tmp_path)) == manifest  # for open_cache to refuse
