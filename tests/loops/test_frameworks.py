"""Callbacks for Lightning and for transformers' Trainer: resumed as if never stopped, and told where they don't fit."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from frugal import AdaptiveSparseTraining, Frugal, GradientNorm, InfoBatch
from frugal.errors import FrugalError

EPOCHS, SAMPLES = 4, 104  # which fill no last batch
DRAW = torch.Generator().manual_seed(0)
INPUTS, LABELS = torch.randn(SAMPLES, 8, generator=DRAW), torch.randint(3, (SAMPLES,), generator=DRAW)
QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))


def made(strategy, model, **given):
    return Frugal(strategy, model, **{"samples": SAMPLES, "epochs": EPOCHS, "batch_size": 10} | given)


@pytest.fixture
def lightning(tmp_path):
    """A function that trains by Lightning; its modules are what they return."""
    lightning = pytest.importorskip("lightning.pytorch", reason="lightning isn't installed")
    from frugal.loops.lightning import FrugalCallback

    class Module(lightning.LightningModule):
        def __init__(self, strategy, **given):
            super().__init__()
            self.net = net()
            self.by, self.validated = made(strategy, self.net, **given), []

        def training_step(self, batch, _place):
            logits = self.net(batch[0])
            losses = cross_entropy(logits, batch[1], reduction="none")
            return self.by.weigh(losses, logits=logits, labels=batch[1])

        def validation_step(self, batch, _place):
            self.validated += [] if self.by.epoch in self.validated else [self.by.epoch]

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    def train(strategy, resume=None, loader=None, validated=False, selects=True, **given):
        module = Module(strategy, **given)
        plain = DataLoader(TensorDataset(INPUTS, LABELS), batch_sampler=loader or module.by.sampler)
        saved = lightning.callbacks.ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=13, save_top_k=-1)
        options = {"max_epochs": EPOCHS, "num_sanity_val_steps": 0, **QUIET}
        trainer = lightning.Trainer(callbacks=[saved, FrugalCallback(module.by)], **options)
        validation = None if module.by.picks and not validated else DataLoader(INPUTS, 50)
        trainer.fit(module, module.by.select(plain) if selects else plain, validation, ckpt_path=resume)
        assert validation is None or module.validated == [epoch + 1 for epoch in range(resume is not None, EPOCHS)]
        return module

    return train


@pytest.mark.parametrize(("strategy", "step"), [(InfoBatch, 13), (AdaptiveSparseTraining, 13), (GradientNorm, 39)])
def test_lightning_resumes_within_an_epoch_as_if_never_stopped(lightning, tmp_path, strategy, step):
    whole = lightning(strategy())
    again = lightning(strategy(), resume=tmp_path / f"step={step}.ckpt")
    assert again.by.history == whole.by.history
    assert len(whole.by.history) == EPOCHS
    assert torch.equal(again.by.losses, whole.by.losses)


def test_lightning_with_another_loader_or_length_is_refused(lightning):
    with pytest.raises(FrugalError, match=r"batch_sampler=training\.sampler"):
        lightning(InfoBatch(), loader=torch.utils.data.BatchSampler(range(SAMPLES), 10, False))
    with pytest.raises(FrugalError, match="ast chooses within a batch, so Lightning"):
        lightning(AdaptiveSparseTraining(), validated=True)
    with pytest.raises(FrugalError, match="max_epochs is 4"):
        lightning(InfoBatch(), epochs=5)
    with pytest.raises(FrugalError, match="samples is 150, and the data set has 104"):
        lightning(InfoBatch(), selects=False, samples=150)


@pytest.fixture
def trainer(tmp_path):
    """A function that trains by transformers' Trainer."""
    pytest.importorskip("accelerate", reason="accelerate, which transformers' Trainer needs, isn't installed")
    from transformers import Trainer, TrainingArguments
    from transformers.modeling_outputs import SequenceClassifierOutput

    from frugal.loops.huggingface import FrugalCallback

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net()

        def forward(self, inputs):
            return SequenceClassifierOutput(logits=self.net(inputs))

    def train(strategy, resume=None, samples=SAMPLES, **given):
        model = Net()
        options = {
            "num_train_epochs": EPOCHS,
            "per_device_train_batch_size": 10,
            "learning_rate": 0.1,
            "save_steps": 14,
        }
        options |= {
            "optim": "sgd",
            "lr_scheduler_type": "constant",
            "report_to": "none",
            "disable_tqdm": True,
            "use_cpu": True,
        }
        arguments = TrainingArguments(
            str(tmp_path), **options | {"remove_unused_columns": False, "label_names": ["labels"]} | given
        )
        data = [{"inputs": one, "labels": label} for one, label in zip(INPUTS, LABELS, strict=True)]
        by = made(strategy, model, samples=samples)
        trainer = Trainer(model, arguments, train_dataset=data, eval_dataset=data)
        FrugalCallback(by).attach(trainer)
        trainer.train(resume_from_checkpoint=resume)
        assert trainer.evaluate()["eval_loss"] > 0
        return by

    return train


@pytest.mark.parametrize(
    ("strategy", "step"), [(InfoBatch, 14), (AdaptiveSparseTraining, 14), (GradientNorm, 14), (GradientNorm, 28)]
)
def test_the_trainer_of_transformers_resumes_within_an_epoch_as_if_never_stopped(trainer, tmp_path, strategy, step):
    whole = trainer(strategy())
    again = trainer(strategy(), resume=str(tmp_path / f"checkpoint-{step}"))
    assert again.history == whole.history
    assert len(whole.history) == EPOCHS
    assert torch.equal(again.losses, whole.losses)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"gradient_accumulation_steps": 2}, "needs 1"),
        ({"num_train_epochs": 2}, "is 2, and Frugal needs 4"),
        ({"samples": 150}, "samples is 150, and the data set has 104"),
    ],
)
def test_what_the_trainer_of_transformers_does_otherwise_is_refused(trainer, given, says):
    with pytest.raises(FrugalError, match=says):
        trainer(InfoBatch(), **given)
