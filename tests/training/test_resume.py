"""A run that is stopped and started again ends with the same bits; every strategy at one step is in test_conformance.py."""

import json
import os
import random
import signal
import time
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tiny
from forks import TRAINING
from frugal.training.signals import Interrupted
from frugal.training.writer import metrics
from memory import Memory

TRAIN = Path(__file__).parents[2] / "scripts" / "train.py"
RUNS = {
    "full": tiny.spec("full", recipe={"augment": {"crop_padding": 1, "flip": True}}),
    "ema": tiny.spec("compression", k_lo=2, k_hi=5, rule="ema"),
    "spectral": tiny.spec("compression", k_lo=3, k_hi=6, rule="median", decode="spectral", anneal=0.3),
    "curriculum": tiny.spec(
        "frequency_curriculum",
        recipe={"epochs": 2.5, "augment": {"crop_padding": 1, "flip": True}},
        stages=[[4, 0.3], [6, 0.7], [8, 1]],
        ahead=0.3,
    ),
    "infobatch": tiny.spec("infobatch", prune_ratio=0.4, delta=0.7),
    "ast": tiny.spec("ast", target=0.5, warmup=0.3, scoring="half"),
    "ast masked": tiny.spec("ast", target=0.5, warmup=0.3, scoring="masked"),
    "ast remembered": tiny.spec("ast", target=0.5, warmup=0.3, scoring="remembered", controller="quantile"),
    "ies": tiny.spec("ies", delta=0.1, window=1, recipe={"epochs": 6, "augment": {"crop_padding": 1, "flip": True}}),
    "gradient norm": tiny.spec("gradient_norm", threshold=0.5, recipe={"label_smoothing": 0.1}),
    "freeze": tiny.spec("freeze", t_0=0.4, schedule="linear"),
    "average": tiny.spec(
        "full",
        recipe={
            "augment": {"crop_padding": 1, "flip": "alternating"},
            "average": {"every": 4, "decay": 0.7, "power": 1},
            "rates": {"norm_bias": 8},
            "schedule": "triangular",
            "test_time": "flips_and_shifts",
        },
    ),
    "mixed": tiny.spec(
        "infobatch",
        recipe={
            "augment": {"crop_padding": 1, "policy": "randaugment", "mixup": 0.4, "cutmix": 1},
            "class_weights": "balanced",
        },
        prune_ratio=0.4,
        delta=0.7,
    ),
    "float16": tiny.spec("full", recipe={"precision": "float16", "epochs": 2}),
    "grand": tiny.spec("error_norm", score="grand", passes=1.5, recipe={"augment": {"crop_padding": 1, "flip": True}}),
    "forgetting": tiny.spec("forgetting", recipe={"augment": {"crop_padding": 1, "flip": True}}),
    "held out": tiny.spec("held_out_loss"),
    "proxy": tiny.spec("proxy", passes=2),
    "tokens": tiny.spec("token_drop", recipe={"epochs": 2}, model=tiny.VIT, initial=0.25, increment=8),
    "patches": tiny.spec("patch_drop", recipe={"epochs": 2}, model=tiny.VIT, whole=0.3),
    "adam": tiny.spec(
        "full",
        recipe={
            "optimizer": "adamw",
            "learning_rate": 0.003,
            "weight_decay": 0.1,
            "decay_norm_and_bias": False,
            "schedule": "step",
            "milestones": [0.5, 0.8],
            "accumulate": 2,
        },
    ),
    "muon": tiny.spec(
        "full", recipe={"optimizer": "muon", "learning_rate": 0.01, "momentum": 0.95, "evaluate_every": 2}
    ),
}
EVERYTHING = settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def undisturbed_run(digits):
    """Each run to its end, once."""

    @cache
    def run(name):
        trainer = tiny.trainer(digits, RUNS[name])
        trainer.run()
        return trainer

    return run


@pytest.mark.parametrize("name", RUNS)
@EVERYTHING
@given(data=st.data())
def test_a_run_continued_from_any_step_is_the_undisturbed_run(digits, undisturbed_run, name, data):
    undisturbed = undisturbed_run(name)
    stop_after = data.draw(st.integers(1, undisturbed.ledger.steps) | st.just(undisturbed.ledger.steps))
    stopped = tiny.trainer(digits, RUNS[name], checkpoints=Memory(), checkpoint_seconds=1e9)
    after_step = stopped.strategy.after_step
    stopped.strategy.after_step = lambda t: (
        t.ledger.steps == stop_after and os.kill(os.getpid(), signal.SIGTERM) or after_step(t)
    )
    with pytest.raises(Interrupted):
        stopped.run()
    torch.manual_seed(data.draw(st.integers(0, 99)))  # whatever the new process did before
    continued = tiny.trainer(digits, RUNS[name], checkpoints=Memory(stopped.checkpoints.content))
    continued.run()
    assert continued.ledger.resumes == 1
    continued.ledger.resumes = 0
    assert tiny.outcome(metrics(continued, "")) == tiny.outcome(metrics(undisturbed, ""))
    assert continued.ledger == undisturbed.ledger
    assert torch.equal(torch.cat(continued.history.curve), torch.cat(undisturbed.history.curve))
    assert [tiny.outcome(row) for row in continued.history.rows] == [
        tiny.outcome(row) for row in undisturbed.history.rows
    ]


def start(cache, run, out, every="0"):
    command = [TRAIN, "--spec", run.model_dump_json(), "--cache", cache, "--out", out]
    return TRAINING.start([*command, "--checkpoint-seconds", every, "--device", "cpu"])


def last_step(out):
    return max((int(file.stem.split("-")[1]) for file in out.glob("checkpoints/*/step-*.pt")), default=0)


def test_a_run_killed_ten_times_at_random_ends_with_the_same_metrics(tmp_path):
    cache = tiny.write_digits(tmp_path / "data")
    run = tiny.spec("compression", k_lo=2, k_hi=5, rule="ema", recipe={"epochs": 12})
    assert start(cache, run, tmp_path / "whole").wait() == 0
    draw, kills = random.Random(0), 0
    while kills < 10:
        process = start(cache, run, tmp_path / "killed")
        goal = last_step(tmp_path / "killed") + draw.randint(1, 10)
        while process.poll() is None and last_step(tmp_path / "killed") < goal:
            time.sleep(0.002)
        process.kill()
        assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
        assert not (tmp_path / "killed" / "metrics.json").exists()
        kills += 1
    assert start(cache, run, tmp_path / "killed").wait() == 0
    whole, killed = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("whole", "killed"))
    assert tiny.outcome(killed) == tiny.outcome(whole)
    assert (tmp_path / "killed" / "iterations.csv").read_text() == (tmp_path / "whole" / "iterations.csv").read_text()
    assert json.loads((tmp_path / "killed" / "manifest.json").read_text())["resumes"] == 10


def test_sigterm_saves_and_exits_non_zero_and_a_finished_run_is_never_lost(tmp_path):
    cache = tiny.write_digits(tmp_path / "data")
    run = tiny.spec(recipe={"epochs": 300})
    process = start(cache, run, tmp_path / "run", every="0.05")
    while last_step(tmp_path / "run") < 20:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    assert "stopped by SIGTERM in epoch" in process.stderr.read()
    assert last_step(tmp_path / "run") > 20
    short = tiny.spec()
    assert start(cache, short, tmp_path / "run").wait() == 0
    first = (tmp_path / "run" / "metrics.json").read_text()
    (tmp_path / "run" / "metrics.json").unlink()  # as Snakemake does before it runs a job again
    assert start(cache, short, tmp_path / "run").wait() == 0
    assert tiny.outcome(json.loads(first)) == tiny.outcome(json.loads((tmp_path / "run" / "metrics.json").read_text()))
    assert (
        json.loads(first)["train_seconds"]
        == json.loads((tmp_path / "run" / "metrics.json").read_text())["train_seconds"]
    )
