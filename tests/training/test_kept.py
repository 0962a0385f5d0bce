"""What a run leaves beside its record on request."""

import json

import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_model

import tiny
from frugal.record import whole
from frugal.training.job import Job, train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    cache = tiny.write_digits(folder / "data")
    spec = tiny.spec("compression", k_lo=3, k_hi=6, rule="median")
    job = Job(spec, cache, folder / "run", device="cpu", keep=("model", "predictions"))
    assert train(job) == 0
    return job


def test_the_net_and_its_predictions_are_those_of_the_record(run, digits):
    figures = json.loads((run.out / "metrics.json").read_text())
    said = pd.read_parquet(run.out / "predictions.parquet")
    assert (said["label"] == said["predicted"]).mean() == pytest.approx(figures["test_accuracy"])
    assert said["loss"].mean() == pytest.approx(figures["test_loss"], rel=1e-5)
    probabilities = said.filter(like="probability_")
    assert probabilities.sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    trainer = tiny.trainer(digits, run.spec)
    load_model(trainer.model, run.out / "model.safetensors")
    assert trainer.evaluate(trainer.open("test")).accuracy == figures["test_accuracy"]
    with safe_open(run.out / "model.safetensors", "pt") as file:
        assert file.metadata() == {"run": run.spec.path, "fingerprint": figures["fingerprint"]}


def test_the_record_is_the_same_and_a_run_that_keeps_nothing_leaves_no_old_net(run):
    before = {name: (run.out / name).read_text() for name in ("iterations.csv", "history.csv")}
    assert train(Job(run.spec, run.cache, run.out, device="cpu")) == 0
    assert whole(run.out) is not None
    assert (run.out / "iterations.csv").read_text() == before["iterations.csv"]
    assert not list(run.out.glob("*.safetensors")) + list(run.out.glob("*.parquet"))
    assert torch.is_inference_mode_enabled() is False
