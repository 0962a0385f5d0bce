"""Runs that share a process, each in a fork of it: what they leave is what each would leave alone."""

import json
import multiprocessing
import os
import shutil
import signal
import time
from argparse import Namespace
from pathlib import Path

import pytest

import tiny
from forks import TRAINING
from frugal.atomic import write_json
from frugal.record import fits, read_identity
from frugal.status import file_system_time, status_of_run
from frugal.training import job, tasks
from frugal.training.history import read_followed
from frugal.training.signals import Interrupt
from frugal.training.writer import metrics

MANIFEST = {"symbols": ["", "a"], "shape": [400]}
TRAIN = Path(__file__).parents[2] / "scripts" / "train.py"


def start(cache, runs, out, seeds, **how):
    specs = f"[{', '.join(run.model_dump_json() for run in runs)}]"
    command = [TRAIN, "--spec", specs, "--cache", cache, "--out", out, "--seeds", *seeds]
    command += ["--device", "cpu", "--checkpoint-seconds", "0.05"]
    return TRAINING.start(command, **how)


def state(results, seed):
    """What `make status` says of a run."""
    return status_of_run(results / "pair" / "full" / f"seed-{seed}", results, file_system_time(results))


def running(out, seed):
    """Wait for the first checkpoint of a seed."""
    while not list((out / f"seed-{seed}").glob("checkpoints/*/step-*.pt")):  # the first sign of life comes before
        time.sleep(0.01)


def test_forked_runs_leave_the_records_of_lone_ones_and_one_that_fails_stops_no_other(digits, tmp_path):
    cache = tiny.write_digits(tmp_path / "data")
    full = tiny.spec("full", recipe={"augment": {"crop_padding": 1, "flip": True}})
    follower = tiny.spec("compression", k_lo=2, k_hi=5, rule="random")
    leader = tiny.spec("compression", k_lo=2, k_hi=5, rule="ema")
    follower, leader = (
        run.model_copy(update={"strategy": run.strategy.model_copy(update={"name": name, "follows": follows})})
        for run, name, follows in ((follower, "chance", "ema"), (leader, "ema", None))
    )
    (tmp_path / "pair" / "full" / "seed-5").mkdir(parents=True)
    (tmp_path / "pair" / "full" / "seed-5" / "checkpoints").write_text("a file where a folder should be")
    group = start(cache, [follower, full, leader], tmp_path / "pair", seeds=[3, 5])
    assert group.wait() == 2
    said = group.stderr.read()
    assert sorted(said.splitlines()) == [
        *("chance/seed-3: done", "chance/seed-5: done", "ema/seed-3: done", "ema/seed-5: done", "full/seed-3: done"),
        "full/seed-5: exit status 2, see full/seed-5/train.log",
    ]
    assert said.index("ema/seed-3") < said.index("chance/seed-3") < said.index("ema/seed-5"), "seed after seed"
    failed = state(tmp_path, 5)
    assert failed.state == "failed"
    assert "checkpoints" in failed.why
    assert failed.why.endswith("seed-5/train.log")
    for run, seed, followed in ((full, 3, None), (leader, 3, None), (leader, 5, None), (follower, 5, "ema/seed-5")):
        history = read_followed(tmp_path / "pair" / followed / "history.csv", followed) if followed else None
        alone = tiny.trainer(digits, run.model_copy(update={"seed": seed}), followed=history)
        alone.run()
        folder = tmp_path / "pair" / run.strategy.name / f"seed-{seed}"
        record = json.loads((folder / "metrics.json").read_text())
        expected = json.loads(json.dumps(metrics(alone, record["fingerprint"])))
        assert tiny.outcome(record) == tiny.outcome(expected)
        assert not (folder / "progress.json").exists()
        assert "epoch 3/3" in (folder / "train.log").read_text()
    assert state(tmp_path, 3).state == "done"


@pytest.mark.parametrize(
    ("leader", "follower"),
    [
        (("compression", {"k_lo": 2, "k_hi": 5, "rule": "ema"}), ("compression", {"k_lo": 2, "k_hi": 5, "rule": "random"})),
        (("error_norm", {}), ("static_scores", {"share": 0.4})),
    ],
    ids=["counts", "scores"],
)  # fmt: skip
def test_who_follows_a_run_that_was_trained_anew_is_made_anew_in_the_same_job(tmp_path, leader, follower):
    """Where the new record has the same counts, as after an edit that changes none of them, it still has other seconds."""
    cache, pair = tiny.write_digits(tmp_path / "data"), tmp_path / "pair"
    runs = [
        run.model_copy(update={"strategy": run.strategy.model_copy(update={"name": name, "follows": follows})})
        for name, follows, run in (
            ("second", "first", tiny.spec(follower[0], **follower[1])),
            ("first", None, tiny.spec(leader[0], **leader[1])),
        )
    ]

    def made():
        assert start(cache, runs, pair, seeds=[0]).wait() == 0
        first, second = (read_identity(pair / name / "seed-0") for name in ("first", "second"))
        assert fits(second["followed"], first["files"])
        return first["files"], (pair / "second/seed-0/metrics.json").stat().st_mtime_ns

    before = made()
    assert made() == before, "nothing changed"
    shutil.rmtree(pair / "first")
    after = made()
    assert all(one != other for one, other in zip(before, after, strict=True))
    assert made() == after


@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["to the job alone", "to its process group"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_the_run_under_way_which_has_saved(tmp_path, how, send):
    """To the group as a terminal's Ctrl-C is sent, or by a scheduler."""
    cache = tiny.write_digits(tmp_path / "data")
    group = start(cache, [tiny.spec(recipe={"epochs": 3000})], tmp_path / "pair", seeds=[0, 1], session=True)
    running(tmp_path / "pair" / "full", 0)
    status = state(tmp_path, 0)
    assert (status.state, status.epochs) == ("running", 3000)
    assert status.epochs_done < 3000
    assert state(tmp_path, 1).state == "waiting"
    send(group.pid, how)
    assert group.wait() == (-how if how == signal.SIGKILL else 128 + how)
    log = tmp_path / "pair" / "full" / "seed-0" / "train.log"
    said = f"stopped by {'SIGINT' if how == signal.SIGINT else 'SIGTERM'} in epoch"
    for _ in range(500):
        if said in log.read_text():
            break
        time.sleep(0.02)
    assert said in log.read_text()
    assert "Traceback" not in log.read_text()
    assert not (tmp_path / "pair" / "full" / "seed-1").exists()
    assert state(tmp_path, 0).state == "stopped"
    assert said in state(tmp_path, 0).why


def trained(folder, monkeypatch, run):
    """Of a job of two runs with this in place of trainings: its exit status, the records there are, whether there is a stamp."""
    monkeypatch.setattr(job, "train_or_say", run)
    whole, stamp = job.Job(tiny.spec(), folder / "manifest.json", folder), folder / "runs.json"
    status = job.train_all(whole, [whole.spec], [0, 1], stamp)
    return status, len(list(folder.rglob("metrics.json"))), stamp.exists()


def test_a_job_that_was_asked_to_stop_says_so_even_where_its_run_comes_to_an_end(tmp_path, monkeypatch):
    def run(alone):
        write_json(alone.out / "metrics.json", {"fingerprint": ""})
        if alone.spec.seed == 0 and alone.out.is_relative_to(tmp_path / "stopped"):
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            os.kill(os.getppid(), signal.SIGUSR1)
            time.sleep(0.2)
        return 0

    assert trained(tmp_path / "stopped", monkeypatch, run) == (128 + signal.SIGUSR1, 1, False)
    assert trained(tmp_path / "whole", monkeypatch, run) == (0, 2, True)


def test_a_signal_that_comes_before_the_run_is_started_stops_it(tmp_path, monkeypatch):
    def run(alone):
        with Interrupt() as interrupt:
            for _ in range(200):
                if interrupt.number is not None:
                    return 128 + interrupt.number
                time.sleep(0.01)
        write_json(alone.out / "metrics.json", {"fingerprint": ""})
        return 0

    process = multiprocessing.get_context("fork").Process
    start = process.start
    monkeypatch.setattr(process, "start", lambda self: (os.kill(os.getpid(), signal.SIGTERM), start(self)))
    assert trained(tmp_path, monkeypatch, run) == (128 + signal.SIGTERM, 0, False)


def test_what_the_scores_import_is_imported_once_for_all_runs(tmp_path, monkeypatch):
    loaded = []
    monkeypatch.setattr(tasks, "load_error_rates", lambda: loaded.append(True))
    monkeypatch.setattr(job, "open_cache", lambda _: Namespace(task="transcription", manifest=MANIFEST))
    monkeypatch.setattr(job, "_in_a_fork", lambda run: (len(loaded) != 1, None))
    run = job.Job(tiny.spec(), tmp_path / "manifest.json", tmp_path)
    assert job.train_all(run, [run.spec], [0, 1]) == 0
