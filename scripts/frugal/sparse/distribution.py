"""How a sparsity is shared among layers: the same for each, or Erdos-Renyi-kernel.

Evci et al., "Rigging the Lottery: Making All Tickets Winners", ICML 2020, https://arxiv.org/abs/1911.11134. With the latter the
density of a layer is in proportion to
    (n_in + n_out + k_w + k_h) / (n_in n_out k_w k_h),
without k for a linear layer, scaled such that all layers together keep as many weights as asked for. Where that gives more
than 1, a layer is dense and the others share the rest. Small layers so keep more of theirs.
"""

from math import prod


def densities(weights: dict[str, tuple[int, ...]], sparsity: float, distribution: str) -> dict[str, float]:
    """Share of its weights that each layer keeps, in (0, 1].

    weights: shape of each layer's weight, (n_out, n_in) or (n_out, n_in, k_h, k_w); sparsity: of all together, in [0, 1);
    distribution: uniform or erk
    """
    if distribution == "uniform":
        return dict.fromkeys(weights, 1 - sparsity)
    sizes = {name: prod(shape) for name, shape in weights.items()}
    scores = {name: sum(shape) / sizes[name] for name, shape in weights.items()}
    left, dense = (1 - sparsity) * sum(sizes.values()), set()
    while True:
        sparse = [name for name in weights if name not in dense]
        room = left - sum(sizes[name] for name in dense)
        epsilon = room / sum(scores[name] * sizes[name] for name in sparse) if sparse else 0.0
        full = {name for name in sparse if epsilon * scores[name] > 1}
        if not full:
            return {name: 1.0 if name in dense else epsilon * scores[name] for name in weights}
        dense |= full
