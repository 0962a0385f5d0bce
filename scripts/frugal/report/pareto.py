"""Which of several choices nobody beats in both cost and accuracy."""

import numpy as np


def front(cost: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """Indices (m,) of the undominated of n points, (n,) each, by rising cost: no other is at most as costly and as accurate."""
    order = np.lexsort((-accuracy, cost))
    highest = np.maximum.accumulate(np.concatenate([[-np.inf], accuracy[order][:-1]]))
    return order[accuracy[order] > highest]
