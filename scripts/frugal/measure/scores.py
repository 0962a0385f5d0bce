"""Scores of predictions: macro F1 of classes, word and character error rates of texts.

Macro F1 is ours rather than scikit-learn's because importing that takes longer than a demo run trains.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from frugal.errors import needs_extra


def macro_f1(labels: Tensor, predictions: Tensor, classes: int) -> float:
    """Mean over classes of 2 TP / (2 TP + FP + FN); a class that neither occurs nor is predicted is left out, as in scikit-learn.

    labels, predictions: (n,) int64 in [0, classes)
    """
    counts = torch.bincount(labels * classes + predictions, minlength=classes**2).view(classes, classes).double()
    doubled = counts.sum(0) + counts.sum(1)
    present = doubled > 0
    return (2 * counts.diagonal()[present] / doubled[present]).mean().item()


def load_error_rates() -> Callable[[list[str], list[str]], tuple[float, float]]:
    """The function (heard, said) -> (WER, CER) over all texts together, by torchmetrics; above 1 where more was heard than said.

    Substitutions, insertions and deletions over the words, or characters, that were said. Loading it takes seconds, so only
    who scores texts does. Raises FrugalError without torchmetrics.
    """
    with needs_extra("audio", "word error rates"):
        from torchmetrics.functional.text import char_error_rate, word_error_rate
    return lambda heard, said: (word_error_rate(heard, said).item(), char_error_rate(heard, said).item())
