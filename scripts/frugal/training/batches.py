"""Batches: the order in which an epoch reads samples, cut into slices, each with its levels.

A strategy that selects within batches has the selected samples wait until they fill one: what is trained on keeps one
static shape.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from frugal.data.device import Segment
from frugal.data.mixing import Mix, partners
from frugal.errors import FrugalError
from frugal.strategies.base import EpochPlan


@dataclass
class Epoch:
    """The batches of one epoch.

    order: (m,) int64, samples in the order they are visited; weight: (m,) float32 or None; bounds: (first, last+1) of each
    batch in that order; segments: per batch, which part of it is read at which level, or None for uncompressed images; observed:
    per batch, whether it is only forwarded; none is, where nothing is given
    """

    order: Tensor
    weight: Tensor | None
    bounds: list[tuple[int, int]]
    segments: list[list[Segment]] | None
    observed: list[bool] = field(default_factory=list)

    def __post_init__(self):
        self.observed = self.observed or [False] * len(self.bounds)

    def __len__(self) -> int:
        return len(self.bounds)

    def to(self, device: torch.device) -> "Epoch":
        """The same epoch with its tensors on a device."""
        weight = None if self.weight is None else self.weight.to(device)
        return replace(self, order=self.order.to(device), weight=weight)

    def state_dict(self) -> dict:
        """Plain content for a checkpoint."""
        return {
            "order": self.order,
            "weight": self.weight,
            "bounds": self.bounds,
            "segments": self.segments,
            "observed": self.observed,
        }


def cut(count: int, size: int) -> list[tuple[int, int]]:
    """Slices of `size` over `count` samples. The last one takes the rest, between half and one and a half times `size`:
    no sample is dropped, and no tiny batch disturbs batch normalisation."""
    batches = max(1, (2 * count + size) // (2 * size))  # a half is rounded up, whatever stands before it
    return [(i * size, (i + 1) * size if i < batches - 1 else count) for i in range(batches)]


def arrange(plan: EpochPlan, samples: int, batch_size: int, spectral: bool, generator: torch.Generator) -> Epoch:
    """Shuffle what the plan keeps, unless it comes in an order of its own, and cut it into batches; likewise what it observes.

    Levels may be mixed within a batch, sorted so that each is one run of positions; a spectral batch holds one level only,
    since its images have k x k pixels. Parts of the epoch come one after the other, each cut for itself. Everything is decided
    here, on the host, once per epoch: the steps need no answers from the device. Raises FrugalError where the plan keeps less
    than a batch, or names a sample that isn't there.
    """
    _check(plan, samples)
    kept = torch.arange(samples) if plan.order is None else plan.order.cpu()
    if plan.keep is not None:
        kept = kept[plan.keep.cpu()[kept]]
    if len(kept) < min(batch_size, samples):
        raise FrugalError(
            f"the strategy leaves {len(kept)} of {samples} samples in an epoch, less than one batch of {batch_size}; "
            "lower its prune ratio, raise its keep rate or lower batch_size"
        )
    order = kept if plan.order is not None else kept[torch.randperm(len(kept), generator=generator)]
    epoch = _batches(order, plan, batch_size, spectral, generator)
    if plan.observe is None or not plan.observe.any():
        return epoch
    observed = plan.observe.cpu().nonzero().squeeze(1)  # in their order: nothing depends on it
    return _spread(epoch, _batches(observed, plan, batch_size, spectral, generator))


def _batches(order: Tensor, plan: EpochPlan, size: int, spectral: bool, generator: torch.Generator) -> Epoch:
    pieces = [order]
    if plan.part is not None:
        part = plan.part.cpu()[order]
        pieces = [order[part == one] for one in part.unique()]
    visited, bounds, segments, at = [], [], [], 0
    for piece in pieces:
        own, levels = cut(len(piece), size), []
        if plan.level is not None:
            level = plan.level.cpu()[piece]
            piece, own, levels = (_one_level if spectral else _mixed)(piece, level, size, generator)
        visited.append(piece)
        bounds += [(at + start, at + stop) for start, stop in own]
        segments += levels
        at += len(piece)
    order = visited[0] if len(visited) == 1 else torch.cat(visited)
    weight = None if plan.weight is None else plan.weight.cpu()[order]
    return Epoch(order, weight, bounds, None if plan.level is None else segments)


def _spread(epoch: Epoch, observed: Epoch) -> Epoch:
    """One epoch of both, those that are only forwarded evenly between the others, of which one comes last.

    So the share of the epoch that is done is also that of its training, after which the learning rate goes.
    """
    first, (many, few) = len(epoch.order), (len(epoch), len(observed))
    bounds = epoch.bounds + [(start + first, stop + first) for start, stop in observed.bounds]
    segments = None if epoch.segments is None else epoch.segments + observed.segments
    due = [(place + 1) / many for place in range(many)] + [(place + 0.5) / few for place in range(few)]
    turns = sorted(range(many + few), key=due.__getitem__)
    return Epoch(
        torch.cat([epoch.order, observed.order]),
        None if epoch.weight is None else torch.cat([epoch.weight, observed.weight]),
        [bounds[turn] for turn in turns],
        None if segments is None else [segments[turn] for turn in turns],
        [turn >= many for turn in turns],
    )


def _check(plan: EpochPlan, samples: int) -> None:
    """A plan must speak of this data set: anything else would read another sample than it means, or none."""
    for name in ("keep", "weight", "level", "part", "observe"):
        field = getattr(plan, name)
        if field is not None and len(field) != samples:
            raise FrugalError(
                f"the strategy's plan has {len(field)} entries of {name} for {samples} samples; one each is needed"
            )
    if plan.observe is not None and (plan.observe if plan.keep is None else plan.observe & plan.keep).any():
        raise FrugalError("the strategy's plan visits samples that it only observes as well; leave them out of keep")
    if plan.order is not None and len(plan.order) and not 0 <= plan.order.min() <= plan.order.max() < samples:
        raise FrugalError(
            f"the strategy's plan visits sample {plan.order.max().item() if plan.order.min() >= 0 else plan.order.min().item()}, "
            f"but the data set's {samples} samples count from 0"
        )


def _mixed(
    order: Tensor, level: Tensor, size: int, generator: torch.Generator
) -> tuple[Tensor, list[tuple[int, int]], list[list[Segment]]]:
    bounds = cut(len(order), size)
    batch = (torch.arange(len(order)) // size).clamp_(max=len(bounds) - 1)
    known, rank = level.unique(return_inverse=True)
    key = batch * len(known) + rank
    order = order[key.argsort(stable=True)]
    counts = torch.bincount(key, minlength=len(bounds) * len(known)).view(-1, len(known)).tolist()
    segments = []
    for row in counts:
        parts, at = [], 0
        for k, count in zip(known.tolist(), row, strict=True):
            if count:
                parts.append((k, at, at + count))
            at += count
        segments.append(parts)
    return order, bounds, segments


def _one_level(
    order: Tensor, level: Tensor, size: int, generator: torch.Generator
) -> tuple[Tensor, list[tuple[int, int]], list[list[Segment]]]:
    sorted_order, bounds, segments, at = [], [], [], 0
    known = level.unique().tolist()
    for k in known:
        members = order[level == k]
        sorted_order.append(members)
        for start, stop in cut(len(members), size):
            bounds.append((at + start, at + stop))
            segments.append([(k, 0, stop - start)])
        at += len(members)
    # Of one level, batches come in the order of their samples: those of a run that reads whole images, with the same seed.
    shuffle = torch.randperm(len(bounds), generator=generator).tolist() if len(known) > 1 else range(len(bounds))
    return torch.cat(sorted_order), [bounds[i] for i in shuffle], [segments[i] for i in shuffle]


@dataclass
class Batch:
    """inputs (b, ...), labels (b,), indices (b,) of the samples, weight (b,) of their losses or None for 1.

    others: (b,) labels of what each is mixed with, None where nothing is; share: of its own in a mixed sample
    """

    inputs: Tensor
    labels: Tensor
    indices: Tensor
    weight: Tensor | None = None
    others: Tensor | None = None
    share: float = 1.0

    def mixed(self, mix: Mix) -> "Batch":
        """Each sample mixed with its partner, whose weight multiplies its own: both stand for others that were left out."""
        weight = None if self.weight is None else self.weight * partners(self.weight)
        inputs, others = mix(self.inputs), partners(self.labels)
        return replace(self, inputs=inputs, weight=weight, others=others, share=mix.share)

    def cut(self, parts: int) -> "list[Batch]":
        """So many consecutive parts of it, or as many as it has samples; their sizes differ by one at most.

        Where ranks share the batch, its indices are those of all of them, and the parts have none.
        """
        if parts == 1:
            return [self]
        inputs, labels = self.inputs.tensor_split(parts), self.labels.tensor_split(parts)
        weights, others = (
            [None] * parts if one is None else one.tensor_split(parts) for one in (self.weight, self.others)
        )
        none = self.indices[:0]
        columns = zip(inputs, labels, weights, others, strict=True)
        every = (Batch(i, y, none, w, o, self.share) for i, y, w, o in columns)
        return [part for part in every if len(part.labels)]

    def parts(self) -> list[Tensor]:
        """Its tensors."""
        weight = torch.ones(len(self.labels), device=self.labels.device) if self.weight is None else self.weight
        return [self.inputs, self.labels, self.indices, weight]


@dataclass
class Gathering:
    """Selected samples that wait for their batch, augmented as they were when they were scored."""

    waiting: list[list[Tensor]] = field(default_factory=list)

    def add(self, batch: Batch, chosen: Tensor, weight: Tensor | None = None) -> None:
        """Keep the samples of a batch at the chosen positions (m,); weight: (m,), multiplies those of the batch."""
        if len(chosen):
            parts = [part.index_select(0, chosen) for part in batch.parts()]
            self.waiting.append(parts if weight is None else [*parts[:3], parts[3] * weight])

    def take(self, size: int) -> Batch | None:
        """A full batch, the longest waiting first, or None where fewer than `size` wait: of images, of one size each."""
        for shape in dict.fromkeys(parts[0].shape[1:] for parts in self.waiting):
            own = [parts for parts in self.waiting if parts[0].shape[1:] == shape]
            if sum(len(parts[0]) for parts in own) < size:
                continue
            whole = [torch.cat(column) for column in zip(*own, strict=True)]
            rest = [part[size:] for part in whole]
            others = [parts for parts in self.waiting if parts[0].shape[1:] != shape]
            self.waiting = ([rest] if len(rest[0]) else []) + others
            return Batch(*(part[:size] for part in whole))
        return None
