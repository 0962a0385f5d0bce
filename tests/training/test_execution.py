"""How a run is computed: where its data lies, in which precision, compiled or not, and with the same bits."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from torch import nn

import tiny
from forks import TRAINING
from frugal.config import Config
from frugal.errors import FrugalError
from frugal.recipe import Recipe
from frugal.spec import parse
from frugal.training import forward, setup
from frugal.training.forward import Forward, compile_mode
from frugal.training.signals import Interrupted
from frugal.training.writer import metrics
from memory import Kept

needs_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
TRAIN = Path(__file__).parents[2] / "scripts" / "train.py"
AUGMENTED = {"augment": {"crop_padding": 1, "flip": True}}


def finished(cache, run, **options):
    trainer = tiny.trainer(cache, run, **options)
    trainer.run()
    return trainer


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "frugal-reader"]


# Where the data lies


@pytest.mark.parametrize(
    "run",
    [
        tiny.spec("full", recipe=AUGMENTED),
        tiny.spec("compression", k_lo=2, k_hi=5, rule="ema"),
        tiny.spec("compression", k_lo=3, k_hi=6, rule="median", decode="spectral"),
    ],
    ids=["full", "ema", "spectral"],
)
def test_a_streamed_run_stopped_on_the_way_ends_like_a_resident_one(digits, run):
    resident = finished(digits, run, residency="device")
    stopped = tiny.trainer(digits, run, residency="streamed", checkpoints=Kept(), checkpoint_seconds=1e9)
    after_step = stopped.strategy.after_step
    stopped.strategy.after_step = lambda t: (
        t.ledger.steps == 13 and os.kill(os.getpid(), signal.SIGTERM) or after_step(t)
    )
    with pytest.raises(Interrupted):
        stopped.run()
    assert readers() == []
    continued = finished(digits, run, residency="streamed", checkpoints=stopped.checkpoints, checkpoint_seconds=1e9)
    assert readers() == []
    assert "residency streamed: as asked" in continued.notes
    continued.ledger.resumes = 0
    assert continued.ledger == resident.ledger
    assert tiny.outcome(metrics(continued, "")) == tiny.outcome(metrics(resident, ""))
    assert torch.equal(torch.cat(continued.history.curve), torch.cat(resident.history.curve))


def test_a_reader_that_fails_stops_the_run(digits, monkeypatch):
    trainer = tiny.trainer(digits, tiny.spec("full"), residency="streamed")

    def refuse(*_):
        raise OSError("the disk is gone")

    trainer.strategy.after_epoch = lambda _: monkeypatch.setattr("frugal.data.streaming.gather", refuse)
    with pytest.raises(OSError, match="the disk is gone"):
        trainer.run()
    assert readers() == []


def test_auto_streams_what_takes_half_of_the_free_memory(digits, monkeypatch):
    size = digits.array("train_images").nbytes
    for free, streamed in ((2 * size, True), (2 * size + 1, False)):
        monkeypatch.setattr(setup, "free_memory", lambda _, free=free: free)
        assert setup.choose_residency("auto", digits, "pixels", CPU)[0] is streamed


# The same bits


def test_the_same_seed_gives_the_same_record_in_another_process_and_another_seed_another(tmp_path):
    cache = tiny.write_digits(tmp_path / "data")
    for name, seed in (("one", 0), ("two", 0), ("other", 1)):
        run = tiny.spec("compression", seed, {**AUGMENTED, "deterministic": True}, k_lo=2, k_hi=5, rule="ema")
        command = [
            TRAIN,
            "--spec",
            run.model_dump_json(),
            "--cache",
            cache,
            "--device",
            "cpu",
            "--out",
            tmp_path / name,
        ]
        if name == "one":  # with another seed of Python's hashes than the other two
            subprocess.run([sys.executable, *command], check=True, capture_output=True)
        else:
            assert TRAINING.run(command).returncode == 0
    one, two, other = ((tmp_path / name / "iterations.csv").read_text() for name in ("one", "two", "other"))
    assert one == two
    assert one != other
    one, two = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two"))
    assert tiny.outcome(one) == tiny.outcome(two)


def test_deterministic_refuses_operations_that_are_not_and_the_next_run_is_free_again(digits):
    tiny.trainer(digits, tiny.spec(recipe={"deterministic": True}))
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    tiny.trainer(digits, tiny.spec())
    assert not torch.are_deterministic_algorithms_enabled()


# Precision


def timed(seconds):
    """Steps that do nothing but claim to take so long."""
    return lambda model, images, labels, precision: seconds[precision]


@pytest.mark.parametrize(("bfloat16", "chosen"), [(0.5, "bfloat16"), (0.95, "float32"), (2.0, "float32")])
def test_auto_takes_bfloat16_where_it_pays(digits, monkeypatch, bfloat16, chosen):
    monkeypatch.setattr(forward, "computes_bfloat16", lambda _: True)
    monkeypatch.setattr(forward, "_step", timed({"float32": 1.0, "bfloat16": bfloat16}))
    trainer = tiny.trainer(digits, tiny.spec(recipe={"precision": "auto"}))
    trainer.get_ready()
    assert trainer.forward.autocast._enabled is (chosen == "bfloat16")
    assert any(note.startswith(f"precision auto: {chosen}, a step in bfloat16 took") for note in trainer.notes)


def test_auto_is_float32_where_bfloat16_is_not_native(digits, monkeypatch):
    monkeypatch.setattr(forward, "computes_bfloat16", lambda _: False)
    trainer = tiny.trainer(digits, tiny.spec(recipe={"precision": "auto"}))
    trainer.get_ready()
    assert trainer.chosen["precision"] == "float32"


def test_a_continued_run_keeps_the_precision_it_chose(digits, monkeypatch):
    monkeypatch.setattr(forward, "computes_bfloat16", lambda _: True)
    monkeypatch.setattr(forward, "_step", timed({"float32": 1.0, "bfloat16": 0.5}))
    run = tiny.spec(recipe={"precision": "auto"})
    kept = Kept()
    first = finished(digits, run, checkpoints=kept)
    monkeypatch.setattr(forward, "_step", timed({"float32": 0.5, "bfloat16": 1.0}))
    again = finished(digits, run, checkpoints=kept)
    assert again.chosen == first.chosen
    assert again.chosen["precision"] == "bfloat16"
    assert set(first.chosen["why"]) <= set(again.notes)


@pytest.mark.parametrize(("seconds", "rounds"), [(0.001, 6), (0.7, 3), (9.0, 2)])
def test_choosing_takes_no_longer_than_it_must(monkeypatch, seconds, rounds):
    timed = []
    monkeypatch.setattr(forward, "computes_bfloat16", lambda _: True)
    monkeypatch.setattr(forward, "_step", lambda _, inputs, *rest: timed.append(len(inputs)) or seconds)
    forward.choose_precision(nn.Linear(3, 2), (1024, 3), 2, CPU)
    assert timed == [forward.FILLS] * 2 * rounds


def test_choosing_changes_neither_the_model_nor_what_is_drawn(digits, monkeypatch):
    monkeypatch.setattr(forward, "computes_bfloat16", lambda _: True)
    monkeypatch.setattr(forward, "PAYS", float("inf"))  # timed for real, and float32 in the end
    net = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(64, 10))
    random = torch.get_rng_state()
    forward.choose_precision(net, (4, 1, 8, 8), 10, CPU)
    assert torch.equal(torch.get_rng_state(), random)
    chosen, asked = (finished(digits, tiny.spec(recipe={"precision": p, **AUGMENTED})) for p in ("auto", "float32"))
    assert torch.equal(torch.cat(chosen.history.curve), torch.cat(asked.history.curve))
    for name, weight in asked.model.state_dict().items():
        assert torch.equal(chosen.model.state_dict()[name], weight)


# Compilation


def test_auto_compiles_long_runs_on_a_gpu_and_nothing_on_the_cpu():
    assert compile_mode("auto", CUDA, 20_000) == "default"
    assert compile_mode("auto", CUDA, 500) is None
    assert compile_mode("auto", CPU, 10**9) is None
    assert compile_mode(True, CPU, 1) == "default"
    assert compile_mode("graphs", CUDA, 1) == "reduce-overhead"
    with pytest.raises(FrugalError, match="needs a CUDA GPU"):
        compile_mode("graphs", CPU, 1)


def test_the_config_says_on_and_off_as_yaml_has_them():
    recipe = {"epochs": 1, "batch_size": 1, "learning_rate": 1}
    assert parse(Recipe, {**recipe, "compile": True}, "").compile is True
    assert parse(Recipe, {**recipe, "compile": "off"}, "").compile is False
    with pytest.raises(FrugalError, match="compile"):
        parse(Recipe, {**recipe, "compile": "maybe"}, "")
    with pytest.raises(FrugalError, match="residency"):
        parse(Config, {"residency": "nowhere"}, "config.yaml")


@needs_compiler
@pytest.mark.slow
def test_a_compiled_run_trains_like_an_eager_one_and_its_compilation_is_booked_apart(digits):
    recipe = {"epochs": 1, "learning_rate": 0.01, **AUGMENTED}
    eager, compiled = (finished(digits, tiny.spec(recipe={**recipe, "compile": way})) for way in (False, True))
    assert compiled.forward.shapes == {(32, 1, 8, 8)}
    torch.testing.assert_close(torch.cat(compiled.history.curve), torch.cat(eager.history.curve), rtol=1e-4, atol=1e-4)
    assert compiled.clock.seconds["compile"] > 0
    assert "compile" not in eager.clock.seconds
    assert compiled.ledger == eager.ledger


@needs_compiler
@pytest.mark.slow
def test_warming_up_leaves_weights_statistics_gradients_and_random_state_alone():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.LazyLinear(3))
    model(torch.zeros(2, 1, 8, 8))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.get_rng_state()
    forward = Forward(model, CPU, "float32", "default")
    forward.warm_up([(8, 1, 8, 8)])
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


# Memory


def test_a_cpu_without_memory_names_the_batch_size_to_try(tmp_path):
    cache = tiny.write_digits(tmp_path / "data")
    run = tiny.spec(recipe={"batch_size": 64}).model_dump()
    run["model"]["parameters"]["channels"] = [16_000, 16_000]  # 9 GB of weights
    command = [TRAIN, "--spec", json.dumps(run), "--cache", cache, "--out", tmp_path / "out", "--device", "cpu"]
    done = TRAINING.run(command, limits={"RLIMIT_AS": 6 << 30})
    assert done.returncode == 2, done.stderr
    assert "the device has no memory left at batch size 64; try recipe.batch_size 32" in done.stderr
    assert "Traceback" not in done.stderr
