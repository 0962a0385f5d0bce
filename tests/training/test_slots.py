"""GPUs are shared without two runs on one, and a run that dies leaves its place. The GPUs are names here."""

import multiprocessing
import os
import signal

import pytest

from frugal.training import locks as slots
from frugal.training.locks import take_slot, take_whole

FORK = multiprocessing.get_context("fork")  # of what has torch imported


def hold(place, gpus, jobs_per_gpu, told):
    """Take a slot, tell which, and keep it until killed."""
    gpu, lock = take_slot(gpus, jobs_per_gpu, place)
    told.put((os.getpid(), gpu))
    signal.pause()
    lock.release()


@pytest.fixture
def holders(tmp_path):
    """Start processes that hold a slot each."""
    started, told = [], FORK.Queue()

    def start(gpus, jobs_per_gpu):
        process = FORK.Process(target=hold, args=(tmp_path, gpus, jobs_per_gpu, told))
        process.start()
        started.append(process)
        return told.get(timeout=60)

    yield start
    for process in started:
        process.kill()
        process.join()


def test_runs_spread_over_the_gpus_and_a_killed_one_leaves_its_place(holders, tmp_path, monkeypatch):
    first, second = holders(["a", "b"], 2), holders(["b", "a"], 2)  # the second sees the GPUs in another order
    assert (first[1], second[1]) == (0, 0)  # each on one of its own
    held = [take_slot(["a", "b"], 2, tmp_path) for _ in range(2)]
    assert [gpu for gpu, _ in held] == [0, 1]
    os.kill(first[0], signal.SIGKILL)
    monkeypatch.setattr(slots, "PAUSE", 0.01)
    gpu, again = take_slot(["a", "b"], 2, tmp_path)
    assert gpu == 0
    for lock in (again, *(lock for _, lock in held)):
        lock.release()


def test_a_run_on_several_gpus_waits_until_all_of_them_are_free(holders, tmp_path, monkeypatch):
    monkeypatch.setattr(slots, "PAUSE", 0.01)
    pid, _ = holders(["a", "b"], 1)
    killed = []
    monkeypatch.setattr("filelock._api.time.sleep", lambda _: killed or killed.append(os.kill(pid, signal.SIGKILL)))
    locks = take_whole(["b", "a"], 1, tmp_path)
    assert killed
    assert [os.path.basename(lock.lock_file) for lock in locks] == ["a.0.lock", "b.0.lock"]
    for lock in locks:
        lock.release()
