"""Two ranks that share a run's batches decide as one, and end where one process ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

import tiny
from forks import TRAINING
from frugal.errors import FrugalError
from frugal.plan import Plan
from frugal.strategies.base import EpochPlan
from frugal.training.batches import Epoch, arrange
from frugal.training.distributed import Team

HERE = Path(__file__).parent
CONFIG = HERE.parents[1] / "config"
SCRIPTS = HERE.parents[1] / "scripts"
WANTED = {**yaml.safe_load((CONFIG / "config.yaml").read_text()), "devices": 2, "studies": ["compression"]}
PLANNED = Plan(WANTED, CONFIG).launcher().split()  # as the workflow starts it
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", *PLANNED[1:]]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SCRIPTS), "OMP_NUM_THREADS": "1"}
MODEL = {"name": "cnn_fc", "use": "cnn_fc", "parameters": {"channels": [4, 8], "hidden": 16}}  # no batch statistics
RECIPE = {"epochs": 10, "batch_size": 31, "augment": {"crop_padding": 1, "flip": True}}  # shares of 16 and 15


def spec(devices):
    return on(devices, tiny.spec("compression", k_lo=2, k_hi=5, rule="median", recipe=RECIPE), MODEL)


def on(devices, run, model):
    return type(run).model_validate({**run.model_dump(), "model": model, "devices": devices})


def ended(run, model, cache, out):
    """What each of two ranks ended with, and a single process; forks, with the environment that torchrun gives its ranks."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meet = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    places = [{**meet, "RANK": rank, "LOCAL_RANK": rank} for rank in "01"] + [{}]
    started = [
        TRAINING.start(
            [
                HERE / "one_rank.py",
                on(2 if place else 1, run, model).model_dump_json(),
                cache,
                out / ("2" if place else "1"),
            ],
            env={**ENVIRONMENT, **place},
        )
        for place in places
    ]
    for fork in started:
        assert fork.wait() == 0, fork.stderr.read()
    return [torch.load(out / name) for name in ("2/0.pt", "2/1.pt", "1/0.pt")]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.write_digits(tmp_path_factory.mktemp("data"))


@given(
    samples=st.integers(8, 300),
    size=st.integers(8, 60),
    ranks=st.integers(1, 4),
    spectral=st.booleans(),
    parts=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_shares_partition_every_batch_evenly_at_their_levels(samples, size, ranks, spectral, parts, seed):
    draw = torch.Generator().manual_seed(seed)
    level = torch.tensor([2, 5])[torch.randint(2, (samples,), generator=draw)]
    part = torch.randint(parts, (samples,), generator=draw)
    plan = EpochPlan(None, torch.rand(samples, generator=draw), level, part)
    epoch = arrange(plan, samples, size, spectral, draw)
    assert torch.equal(part[epoch.order], part.sort().values), "part by part"
    if min(stop - start for start, stop in epoch.bounds) < ranks:
        with pytest.raises(FrugalError, match="can't be shared"):
            Team(0, ranks).share(epoch)
        return
    shares = [Team(rank, ranks).share(epoch) for rank in range(ranks)]
    for step, (start, stop) in enumerate(epoch.bounds):
        whole = torch.full((stop - start,), -1)
        for rank, share in enumerate(shares):
            first, last = share.bounds[step]
            assert last - first in ((stop - start) // ranks, -(-(stop - start) // ranks))
            whole[rank::ranks] = share.order[first:last]
            read = torch.cat([torch.full((b - a,), k) for k, a, b in share.segments[step]])
            assert torch.equal(read, level[share.order[first:last]])
        assert torch.equal(whole, epoch.order[start:stop])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, data):
    return ended(spec(1), MODEL, data, tmp_path_factory.mktemp("undisturbed"))


def test_two_ranks_hold_the_same_losses_and_choose_the_samples_that_one_process_chooses(undisturbed):
    first, second, alone = undisturbed
    assert torch.equal(first["losses"], second["losses"])
    assert torch.equal(first["curve"], second["curve"])
    assert first["ledger"] == second["ledger"] == alone["ledger"]
    for ours, theirs, one in zip(first["levels"], second["levels"], alone["levels"], strict=True):
        assert torch.equal(ours, theirs)
        assert torch.equal(ours, one)
    assert 0 < (first["levels"][-1] == 5).double().mean() < 1
    for name, weight in alone["model"].items():
        assert torch.equal(first["model"][name], second["model"][name])
        torch.testing.assert_close(first["model"][name], weight, rtol=1e-3, atol=1e-4)


def test_two_ranks_master_the_samples_that_one_process_masters(tmp_path, data):
    run = tiny.spec("ies", delta=0.05, window=1, recipe={**RECIPE, "epochs": 6})
    first, second, alone = ended(run, MODEL, data, tmp_path)
    assert torch.equal(first["losses"], second["losses"])
    assert first["ledger"] == second["ledger"] == alone["ledger"]
    assert alone["ledger"]["samples_backpropagated"] < 6 * 300, "some were mastered"
    assert alone["ledger"]["samples_forwarded"] == 6 * 300
    torch.testing.assert_close(first["losses"], alone["losses"], rtol=1e-3, atol=1e-3)


RESNET = {"name": "resnet", "use": "resnet", "parameters": {"depth": 8, "width": 4}}


@pytest.mark.parametrize(
    ("use", "given", "model"),
    [
        ("layer_drop", {}, RESNET),
        ("token_drop", {"initial": 0.25}, tiny.VIT),
        ("prune_train", {"threshold": 1e3, "every": 1}, MODEL),  # all but one channel of each group die
    ],
)
def test_two_ranks_leave_out_as_much_and_hold_the_same_weights(tmp_path, data, use, given, model):
    run = tiny.spec(use, recipe={**RECIPE, "epochs": 3}, **given)
    first, second, alone = ended(run, model, data, tmp_path)
    assert torch.equal(first["losses"], second["losses"])
    assert first["ledger"] == second["ledger"] == alone["ledger"]
    for name, value in first["model"].items():
        if "running" not in name:  # those are of each rank's share
            assert torch.equal(value, second["model"][name])


@pytest.mark.parametrize("given", [{"use": "error_norm", "score": "grand", "passes": 2}, {"use": "forgetting"}])
def test_two_ranks_find_the_scores_that_one_process_finds(tmp_path, data, given):
    run = tiny.spec(**given, recipe={**RECIPE, "epochs": 3})
    first, second, alone = ended(run, MODEL, data, tmp_path)
    assert torch.equal(first["scores"], second["scores"])
    assert first["ledger"] == second["ledger"] == alone["ledger"]
    assert alone["scores"].unique().numel() > 2
    torch.testing.assert_close(first["scores"], alone["scores"], rtol=1e-2, atol=1e-3)


def start(run, cache, out):
    command = [*TORCHRUN, SCRIPTS / "train.py", "--spec", run.model_dump_json(), "--cache", cache, "--out", out]
    command += ["--device", "cpu", "--threads", "2", "--checkpoint-seconds", "0"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


def last_step(out):
    return max((int(file.stem.split("-")[1]) for file in out.glob("checkpoints/*/step-*.pt")), default=0)


def test_two_ranks_that_are_stopped_and_killed_end_with_the_same_metrics(tmp_path, data, undisturbed):
    run = spec(2)
    for number, goal in ((signal.SIGUSR1, 15), (signal.SIGKILL, 40)):
        process = start(run, data, tmp_path / "cut")
        while process.poll() is None and last_step(tmp_path / "cut") < goal:
            time.sleep(0.002)
        process.send_signal(number)
        assert process.wait() != 0
        if number != signal.SIGKILL:
            assert f"stopped by {number.name} in epoch" in process.stderr.read()
        step = last_step(tmp_path / "cut")
        time.sleep(0.5)
        assert last_step(tmp_path / "cut") == step, "a rank outlived torchrun"
        assert not (tmp_path / "cut" / "metrics.json").exists()
    assert start(run, data, tmp_path / "cut").wait() == 0
    cut = json.loads((tmp_path / "cut" / "metrics.json").read_text())
    whole = json.loads(json.dumps(undisturbed[0]["metrics"] | {"fingerprint": cut["fingerprint"]}))
    assert tiny.outcome(cut) == tiny.outcome(whole)
    manifest = json.loads((tmp_path / "cut" / "manifest.json").read_text())
    assert manifest["resumes"] == 2
    assert "devices 2: each batch is shared among them, through gloo" in manifest["notes"]


def test_a_run_for_two_devices_is_not_started_on_one(tmp_path, data):
    done = TRAINING.run([SCRIPTS / "train.py", "--spec", spec(2).model_dump_json(), "--cache", data, "--out", tmp_path])
    assert done.returncode == 2
    assert "devices: 2, but 1 process(es) were started" in done.stderr
    assert "Traceback" not in done.stderr


def test_one_rank_that_torchrun_started_talks_to_itself_and_ends_with_the_same_bits(tmp_path, data):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meet = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "TORCHELASTIC_RUN_ID": "none"}
    launched = {**meet, "WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}
    command = [SCRIPTS / "train.py", "--spec", spec(1).model_dump_json(), "--cache", data, "--device", "cpu"]
    forks = [
        TRAINING.start([*command, "--out", tmp_path / name], env={**ENVIRONMENT, **more})
        for name, more in (("alone", {}), ("rank", launched))
    ]
    for fork in forks:
        assert fork.wait() == 0, fork.stderr.read()
    alone, rank = (
        [json.loads((tmp_path / name / file).read_text()) for file in ("metrics.json", "manifest.json")]
        for name in ("alone", "rank")
    )
    assert "devices 1: each batch is shared among them, through gloo" in rank[1]["notes"]
    assert not any("through gloo" in note for note in alone[1]["notes"])
    assert tiny.outcome(alone[0]) == tiny.outcome(rank[0])
    assert (tmp_path / "alone/iterations.csv").read_bytes() == (tmp_path / "rank/iterations.csv").read_bytes()


def test_the_devices_of_a_run_are_part_of_its_identity():
    assert spec(1).fingerprint("", {}) != spec(2).fingerprint("", {})


def test_gradients_are_the_mean_over_the_whole_batch_however_the_shares_differ(monkeypatch):
    """Two teams of one process each, their messages summed by hand."""
    draw = torch.Generator().manual_seed(0)
    images, net = torch.randn(5, 3, generator=draw), torch.nn.Linear(3, 1)
    net(images).square().mean().backward()
    wanted = net.weight.grad.clone()
    sent = []
    monkeypatch.setattr("torch.distributed.all_reduce", lambda message, *_: sent.append(message))
    epoch = Epoch(torch.arange(5), None, [(0, 5)], None)
    for rank in (0, 1):
        net.zero_grad()
        mine = Team(rank, 2).share(epoch).order
        losses = net(images[mine]).square().squeeze(1)
        (losses.sum() / 5).backward()
        Team(rank, 2).combine(list(net.parameters()), losses.detach(), losses > 1, 5)
    summed = sent[0] + sent[1]
    torch.testing.assert_close(summed[:3].view(1, 3), wanted)
    torch.testing.assert_close(summed[4:9], net(images).square().squeeze(1).detach())
