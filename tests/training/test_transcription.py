"""Speech is learnt by CTC in the same loop: scored by words and characters, pruned, resumed, and refused where it can't be."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import kinds
import tiny
from frugal.data.cache import open_cache
from frugal.data.prepare import prepare
from frugal.errors import FrugalError
from frugal.spec import RunSpec
from frugal.training.tasks import Transcription
from frugal.training.writer import metrics
from memory import Memory

SPEECH = {"train_samples": 90, "test_samples": 16, "letters": 3, "longest": 4}
DATASET = {
    "name": "speech",
    "source": "generated_speech",
    "shape": [4608],
    "classes": 6,
    "validation": 10,
    "split_seed": 0,
}
DATASET |= {"options": SPEECH, "dct": None}
NET = {"layers": 1, "heads": 2, "hidden": 16, "feed_forward": 24, "channels": 8, "positions": 4, "dropout": 0.1}
HALF = {"target_flops": 0.6, "every": 2, "round_to": 1, "step": 0.2, "events": 4, "warmup": 0.1, "until": 0.7}
CHARACTERS = ["", "", " ", *"abc"]


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speech")
    return open_cache(prepare(DATASET, folder, folder, None))


def spec(use="full", recipe=None, net=None, **parameters):
    run = kinds.spec("sound", use, recipe=recipe, **parameters)
    return RunSpec.model_validate(
        run.model_dump() | {"dataset": DATASET, "model": {"name": "w", "use": "wav2vec2", "parameters": net or NET}}
    )


def test_a_pruned_transcription_is_counted_scored_and_ends_the_same_from_its_checkpoint(speech):
    recipe = {"epochs": 2, "batch_size": 8}
    trainer = tiny.trainer(speech, spec("dynamic_pruning", recipe=recipe, **HALF))
    trainer.run()
    record, last = metrics(trainer, ""), trainer.history.rows[-1]
    assert last["removals"] >= 2
    assert last["flops_per_sample"] == record["flops_forward_per_sample"]
    assert record["live_parameters"] == last["live_parameters"] < record["parameters"]
    assert any("attention" in name for name in last)
    assert any("feature_extractor" in name for name in last)
    assert last["train_loss"] < trainer.history.rows[0]["train_loss"]
    assert (record["test_f1"], last["train_accuracy"]) == (None, None)
    assert (record["test_balanced_accuracy"], record["test_roc_auc"]) == (None, None)
    assert record["test_accuracy"] == max(0.0, 1 - record["test_cer"])
    assert record["test_wer"] >= 0
    assert {"val_wer", "val_cer", "val_seconds", "peak_memory_bytes"} <= last.keys()
    assert "val_f1" not in last
    stopped = tiny.trainer(speech, spec("dynamic_pruning", recipe=recipe, **HALF), checkpoints=Memory())
    stopped.get_ready()
    stopped.train_epoch()
    stopped._close_epoch()
    stopped.save()
    torch.manual_seed(5)
    again = spec("dynamic_pruning", recipe=recipe, **HALF)
    continued = tiny.trainer(speech, again, checkpoints=Memory(stopped.checkpoints.content))
    continued.run()
    assert torch.equal(torch.cat(continued.history.curve), torch.cat(trainer.history.curve))
    assert tiny.outcome(metrics(continued, "")) == tiny.outcome(record)


def test_what_transcription_cannot_do_is_refused(speech, tmp_path):
    with pytest.raises(FrugalError, match="ast needs classes .it judges logits of classes. and the data set asks for"):
        tiny.trainer(speech, spec("ast", target=0.5))
    deaf = spec().model.model_copy(update={"use": "wave_cnn", "parameters": {}})
    with pytest.raises(FrugalError, match="model w can only classify and speech asks for transcription"):
        tiny.trainer(speech, spec().model_copy(update={"model": deaf}))
    smooth = tiny.trainer(speech, spec(recipe={"label_smoothing": 0.1}))
    with pytest.raises(FrugalError, match="label_smoothing has no meaning for CTC"):
        smooth.run()
    pairs = {"tasks": [{"dataset": "generated-speech", "model": "wave-cnn-small"}]}
    with pytest.raises(FrugalError, match="generated-speech asks for transcription, and model wave-cnn-small can only"):
        kinds.plan_of(tmp_path, pairs)


def test_a_transcript_too_long_for_its_frames_is_refused_before_the_first_step():
    task = Transcription(CHARACTERS, 100)
    model = torch.nn.Sequential(torch.nn.Unflatten(1, (10, 10)), torch.nn.Linear(10, 6))  # ten frames of ten samples
    task.check(model, (100,), torch.tensor([[50, 3, 4, 3, 4, 3], [100, 3, 3, 3, 3, 3]]), "here")
    with pytest.raises(FrugalError, match="here: 1 of 2 transcripts need more frames .* the first one 6 for 5; lower"):
        task.check(model, (100,), torch.tensor([[100, 3, 4, 3, 4, 3], [50, 3, 3, 4, 5, 3]]), "here")


@given(said=st.lists(st.sampled_from(CHARACTERS[2:]), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_a_path_that_spells_a_text_is_read_as_it_and_costs_nothing(said, seed):
    draw, symbols = np.random.default_rng(seed), [CHARACTERS.index(c, 2) for c in said]
    path = [0]
    for symbol in symbols:
        path += [symbol] * draw.integers(1, 4) + [0] * draw.integers(1, 3)
    silence = int(draw.integers(0, 4))  # frames of padding, in which anything may be heard
    task = Transcription(CHARACTERS, 2 * (len(path) + silence))
    labels = torch.tensor([[2 * len(path), *symbols]])
    heard = [*path, *draw.integers(0, len(CHARACTERS), silence)]
    logits = torch.full((1, len(heard), len(CHARACTERS)), -30.0)
    logits[0, range(len(heard)), heard] = 30.0
    assert task.losses(logits, labels, 0.0).item() == pytest.approx(0, abs=1e-5)
    text = " ".join("".join(said).split())
    assert task.text(task.answers(logits, labels)[0]) == text
    if text == "".join(said):
        scores = task.scores([task.answers(logits, labels)], labels)
        assert (scores.cer, scores.wer, scores.accuracy, scores.f1) == (0, 0, 1, None)
