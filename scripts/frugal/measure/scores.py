"""Scores of predictions: macro F1, balanced accuracy and ROC AUC of classes, word and character error rates of texts.

Those of classes are ours rather than scikit-learn's because importing that takes longer than a demo run trains; the tests hold
them against it.
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


def balanced_accuracy(labels: Tensor, predictions: Tensor, classes: int) -> float:
    """Mean over the classes that occur of the share of their samples that is right (recall), as in scikit-learn.

    labels, predictions: (n,) int64 in [0, classes)
    """
    counts = torch.bincount(labels, minlength=classes)
    right = torch.bincount(labels[labels == predictions], minlength=classes)
    return (right[counts > 0].double() / counts[counts > 0]).mean().item()


def roc_auc(labels: Tensor, logits: Tensor) -> tuple[float | None, str | None]:
    """Area under the ROC curve: of two classes that of the second, of more the mean over classes of each against the rest.

    The chance that a sample of the class is given a higher probability of it than one of the rest, ties counted half: from the
    sum of ranks, in float64. Second: why there is none, where a class doesn't occur or a logit isn't finite.
    Mann and Whitney, "On a Test of Whether one of Two Random Variables is Stochastically Larger than the Other", 1947,
    https://doi.org/10.1214/aoms/1177730491.

    labels: (n,) int64; logits: (n, classes)
    """
    classes = logits.shape[1]
    counts = torch.bincount(labels, minlength=classes)
    if len(missing := (counts == 0).nonzero().flatten().tolist()):
        which = ", ".join(map(str, missing[:5])) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        return None, f"the test set has no sample of class {which}"
    if not logits.isfinite().all():
        return None, "the net's outputs on the test set aren't all finite numbers"
    probabilities = logits.double().softmax(1)
    found = [_auc(labels == place, probabilities[:, place]) for place in ([1] if classes == 2 else range(classes))]
    return sum(found) / len(found), None


def _auc(positive: Tensor, scores: Tensor) -> float:
    """(n,) bool and (n,) -> the share of pairs of a positive and another in which the positive has the higher score."""
    _, place, counts = scores.unique(return_inverse=True, return_counts=True)
    ranks = (counts.cumsum(0) - (counts - 1) / 2.0)[place]  # of equal scores the mean of theirs, from 1 on
    many = int(positive.sum())
    pairs = many * (len(positive) - many)
    return (ranks[positive].double().sum().item() - many * (many + 1) / 2) / pairs


def load_error_rates() -> Callable[[list[str], list[str]], tuple[float, float]]:
    """The function (heard, said) -> (WER, CER) over all texts together, by torchmetrics; above 1 where more was heard than said.

    Substitutions, insertions and deletions over the words, or characters, that were said. Loading it takes seconds, so only
    who scores texts does. Raises FrugalError without torchmetrics.
    """
    with needs_extra("audio", "word error rates"):
        from torchmetrics.functional.text import char_error_rate, word_error_rate
    return lambda heard, said: (word_error_rate(heard, said).item(), char_error_rate(heard, said).item())
