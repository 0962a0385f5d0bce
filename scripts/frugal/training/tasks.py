"""Tasks, classification and transcription: the loss of each sample, and the scores of the answers.

classification  labels (n,) int64; logits (b, classes); accuracy, balanced accuracy and macro F1
transcription   labels (n, 1 + longest), see `frugal.data.transcripts`; logits (b, frames, symbols); word and character error rate
"""

import copy
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from frugal.data.cache import Cache
from frugal.data.device import Split
from frugal.data.transcripts import BLANK, text_of
from frugal.errors import FrugalError
from frugal.measure.scores import balanced_accuracy, load_error_rates, macro_f1


@dataclass(frozen=True)
class Scores:
    """accuracy, balanced_accuracy: fractions; f1: macro; wer, cer: error rates of words and characters.

    None where there is no such thing.
    """

    accuracy: float
    f1: float | None = None
    balanced_accuracy: float | None = None
    wer: float | None = None
    cer: float | None = None


class Task(Protocol):
    """What the loop asks of a task; `notes` say which scores it has not, and why."""

    notes: list[str]

    def losses(self, logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        """(b,) nats of each sample."""

    def hits(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(b,) whether each sample is right, not-a-number where only scoring tells."""

    def answers(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(b, ...) int64: what scoring needs to know of logits."""

    def scores(self, answers: list[Tensor], labels: Tensor) -> Scores:
        """Of a whole split, from the answers of its parts, (b, ...) each, and its labels, (n, ...)."""

    def check(self, model: nn.Module, shape: tuple[int, ...], labels: Tensor, where: str) -> None:
        """Raise FrugalError where the model can't do what the labels of a split, (n, ...), ask for. shape: of a sample."""


class Classification:
    """One label of each sample; cross-entropy."""

    notes = ["test_wer, test_cer: null, classes are no words"]

    def __init__(self, classes: int):
        self.classes = classes

    def losses(self, logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        """(b, classes), (b,) -> (b,)."""
        return functional.cross_entropy(logits.float(), labels, reduction="none", label_smoothing=smoothing)

    def hits(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(b,) bool."""
        return logits.argmax(1) == labels

    def answers(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(b,) the likeliest classes."""
        return logits.argmax(1)

    def scores(self, answers: list[Tensor], labels: Tensor) -> Scores:
        """Accuracy, macro F1 and balanced accuracy of answers (b,) to labels (n,)."""
        predictions = torch.cat(answers)
        accuracy = (predictions == labels).double().mean().item()
        told = labels.cpu(), predictions.cpu(), self.classes
        return Scores(accuracy, macro_f1(*told), balanced_accuracy(*told))

    def check(self, model: nn.Module, shape: tuple[int, ...], labels: Tensor, where: str) -> None:
        """Every class of the labels (n,) has its logit."""


class Transcription:
    """What is said, by CTC: Graves et al., ICML 2006. characters: of each symbol; samples: of a padded wave.

    A sample's loss is per symbol of its transcript. Frames beyond a recording's own samples take no part: its share of the
    frames is its share of the wave, rounded up. The answer is the likeliest symbol of each frame, repeats and blanks removed.
    """

    notes = [
        "accuracy: 1 - character error rate, 0 where that is above 1; test_wer and test_cer stand beside it",
        "test_f1, test_balanced_accuracy, test_roc_auc: null, a transcript has no classes; train_accuracy: null, training "
        "decodes nothing",
    ]

    def __init__(self, characters: list[str], samples: int):
        self.characters, self.samples, self.error_rates = characters, samples, load_error_rates()

    def frames(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(b,) int64: how many frames are each recording's own."""
        return (labels[:, 0].long() * logits.shape[1] + self.samples - 1).div(self.samples, rounding_mode="floor")

    def losses(self, logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        """(b, frames, symbols), (b, 1 + longest) -> (b,) nats per symbol. Raises FrugalError for label smoothing."""
        if smoothing:
            raise FrugalError("recipe.label_smoothing has no meaning for CTC; set it to 0 for this data set")
        said = labels[:, 1:].long()
        lengths = (said != BLANK).sum(1)
        chances = logits.float().log_softmax(2).transpose(0, 1)
        return functional.ctc_loss(
            chances, said, self.frames(logits, labels), lengths, blank=BLANK, reduction="none"
        ) / lengths.clamp_min(1)

    def hits(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(b,) not-a-number."""
        return logits.new_full((len(logits),), float("nan"))

    def answers(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(b, frames) the likeliest symbols, blanks beyond a recording's own frames."""
        symbols, own = logits.argmax(2), self.frames(logits, labels)
        return symbols.masked_fill(torch.arange(symbols.shape[1], device=own.device) >= own[:, None], BLANK)

    def scores(self, answers: list[Tensor], labels: Tensor) -> Scores:
        """Error rates of all texts together: answers (b, frames), labels (n, 1 + longest)."""
        heard = [self.text(row) for part in answers for row in part.cpu()]
        said = [
            text_of([s for s in row if s != BLANK], self.characters, "\N{REPLACEMENT CHARACTER}")
            for row in labels[:, 1:].tolist()
        ]
        wer, cer = self.error_rates(heard, said)
        return Scores(max(0.0, 1 - cer), wer=wer, cer=cer)

    def text(self, frames: Tensor) -> str:
        """(frames,) symbols -> text. A symbol without a character is written as a mark that no transcript has."""
        symbols = frames.unique_consecutive().tolist()
        return " ".join(text_of([s for s in symbols if s != BLANK], self.characters, "?").split())

    def check(self, model: nn.Module, shape: tuple[int, ...], labels: Tensor, where: str) -> None:
        """Raise FrugalError where a transcript, labels (n, 1 + longest), needs more frames than its recording has."""
        with torch.no_grad():
            logits = copy.deepcopy(model).to("meta").eval()(torch.empty(1, *shape, device="meta"))
        said = labels[:, 1:].long()
        twins = ((said[:, 1:] == said[:, :-1]) & (said[:, 1:] != BLANK)).sum(1)  # need a blank between
        needed = (said != BLANK).sum(1) + twins
        own = self.frames(logits, labels)
        if len(short := (needed > own).nonzero()):
            first = int(short[0])
            raise FrugalError(
                f"{where}: {len(short)} of {len(labels)} transcripts need more frames than the model makes of their recordings, "
                f"the first one {int(needed[first])} for {int(own[first])}; lower option `fastest` of the data set, or take a "
                "model with a smaller stride"
            )


def make_task(cache: Cache) -> Any:
    """The task that a cache's labels are for."""
    if cache.task == "transcription":
        return Transcription(cache.manifest["symbols"], cache.manifest["shape"][0])
    return Classification(cache.manifest["classes"])


@dataclass
class Evaluation:
    """loss: mean over the samples in nats; scores: of the task; seconds: that it took, scoring included.

    logits: (n, classes), where they were asked for
    """

    loss: float
    scores: Scores
    seconds: float
    logits: Tensor | None = None

    @property
    def accuracy(self) -> float:
        """A fraction."""
        return self.scores.accuracy

    def row(self, split: str) -> dict[str, float]:
        """Its columns in history.csv: loss and the scores that there are, named after the split, "val" or "test"."""
        scores = {name: value for name, value in asdict(self.scores).items() if value is not None}
        return {f"{split}_{name}": value for name, value in ({"loss": self.loss} | scores).items()}


def averaged_logits(model: nn.Module, inputs: Tensor, views: str | None, plain: Tensor | None = None) -> Tensor:
    """Logits (b, classes) of inputs (b, ...) in float32; of images (b, C, H, W) the mean over several views where asked.

    views: "flips" for an image and its mirror image; "flips_and_shifts" for half of that, and half the mean of both moved by
    one pixel, up and to the left or down and to the right, the border continued by reflection: level 2 of Jordan, "94% on
    CIFAR-10 in 3.29 Seconds on a Single GPU", https://arxiv.org/abs/2404.00498
    plain: logits of the inputs as they are, in float32, where they are known already
    """
    plain = model(inputs).float() if plain is None else plain
    if views is None:
        return plain

    def mirrored(images: Tensor) -> Tensor:
        return model(images.flip(3)).float()

    both = (plain + mirrored(inputs)) / 2
    if views == "flips":
        return both
    height, width = inputs.shape[2:]
    wide = functional.pad(inputs, [1] * 4, mode="reflect")
    moved = (wide[:, :, :height, :width], wide[:, :, 2:, 2:])
    return both / 2 + sum(model(images).float() + mirrored(images) for images in moved) / 8


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    data: Split,
    task: Task,
    level: int | None,
    spectral: bool,
    autocast: torch.autocast,
    views: str | None = None,
    keep_logits: bool = False,
    plain: Tensor | None = None,
) -> Evaluation:
    """Run the model in evaluation mode over every sample, read at `level` (None: in full).

    views: "flips" or "flips_and_shifts" for the mean of the logits of several views, see `averaged_logits`
    keep_logits: whether they are returned too, for scores that need more than answers
    plain: logits (n, ...) of the samples as they are, from an evaluation at the same level, so that no view is computed twice
    """
    started = time.perf_counter()
    losses, answers, kept = [], [], []
    for part, logits in logits_of(model, data, level, spectral, autocast, views, plain):
        losses.append(task.losses(logits, data.labels[part], 0.0))
        answers.append(task.answers(logits, data.labels[part]))
        if keep_logits:
            kept.append(logits.float())
    loss, scores = torch.cat(losses).double().mean().item(), task.scores(answers, data.labels)
    return Evaluation(loss, scores, time.perf_counter() - started, torch.cat(kept) if keep_logits else None)


@torch.inference_mode()
def logits_of(
    model: nn.Module,
    data: Split,
    level: int | None,
    spectral: bool,
    autocast: torch.autocast,
    views: str | None = None,
    plain: Tensor | None = None,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Logits of every sample in evaluation mode, piece by piece: indices (b,) and logits (b, ...); the rest as in `evaluate`."""
    was_training = model.training
    model.eval()
    indices = torch.arange(len(data), device=data.labels.device)
    for part in indices.split(data.evaluated_at_once):
        segments = None if level is None else [(level, 0, len(part))]
        inputs = data.read(part, segments, spectral)  # in float32, as in training
        with autocast:
            logits = averaged_logits(model, inputs, views, None if plain is None else plain[part])
        yield part, logits
    model.train(was_training)
