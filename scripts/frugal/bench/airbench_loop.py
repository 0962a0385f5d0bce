"""Plain torch loop of airbench94's net with Muon: what someone would write who wants just this training, to hold ours against.

Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024, https://arxiv.org/abs/2404.00498. Images lie on the device,
and nothing is asked back from it before the end, as in the source's code. Net and initial values are those of
models/airbench.py. Schedule, use of torch's optimizers, Lookahead, augmentation and views are written here anew and share
nothing with frugal.training; the recipe is that of scale `strong` in config/studies/infobatch.yaml, in numbers.

    PYTHONPATH=scripts python -m frugal.bench.airbench_loop --cache <manifest.json> --out <file> --seed 0 --device cuda
"""

import argparse
import copy
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from frugal.models import airbench

EPOCHS, BATCH = 10, 1024
RATE, MOMENTUM, DECAY = 0.025, 0.6, 1.2  # of Muon, and rate and decay of AdamW for what is no filter
WARMUP, START, END = 0.23, 0.2, 0.07  # of the triangular schedule
EVERY, KEEP = 5, 0.77378  # of Lookahead
SMOOTHING, PADDING, WHITENED = 0.2, 2, 5000


def fit(net: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], steps: int, epochs: float, bfloat16: bool) -> None:
    """Train a net, already initialised, on batches (b, C, H, W) and (b,), `steps` of them, which are `epochs` epochs."""
    net.to(memory_format=torch.channels_last)
    filters = [p for p in net.parameters() if p.dim() == 4 and p.requires_grad]
    flat = [nn.Parameter(as_matrix(p.detach())) for p in filters]  # the same memory
    biases = [p for p in net.parameters() if p.dim() == 1]
    groups = [{"params": biases, "weight_decay": 0.0}, {"params": [net.head.weight]}]
    adamw = torch.optim.AdamW(groups, lr=RATE, weight_decay=DECAY)
    muon = torch.optim.Muon(flat, lr=RATE, weight_decay=DECAY, momentum=MOMENTUM, adjust_lr_fn="match_rms_adamw")
    slow = {name: value.detach().clone() for name, value in net.state_dict().items() if value.is_floating_point()}
    net.train()
    net.start_epoch(0)
    epoch = 0
    for step, (images, labels) in enumerate(batches):
        if int(step * epochs / steps) != epoch:
            epoch = int(step * epochs / steps)
            net.start_epoch(epoch)
        for group in (*adamw.param_groups, *muon.param_groups):
            group["lr"] = RATE * share_of_peak(step / steps)
        net.zero_grad(set_to_none=True)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bfloat16):
            logits = net(images.contiguous(memory_format=torch.channels_last))
        functional.cross_entropy(logits.float(), labels, label_smoothing=SMOOTHING).backward()
        for matrix, weight in zip(flat, filters, strict=True):
            matrix.grad = as_matrix(weight.grad)
        adamw.step()
        muon.step()
        if (step + 1) % EVERY == 0:
            keep = KEEP * ((step + 1) / steps) ** 3
            look_ahead(net, slow, keep)
    look_ahead(net, slow, 1.0)


def as_matrix(filters: Tensor) -> Tensor:
    """(out, in, k, k) as (out, in k k), without a copy where pixels lie in memory before channels."""
    return filters.permute(0, 2, 3, 1).flatten(1)


def share_of_peak(progress: float) -> float:
    """Straight up from START, then straight down to END."""
    if progress < WARMUP:
        return START + (1 - START) * progress / WARMUP
    return 1 - (1 - END) * (progress - WARMUP) / (1 - WARMUP)


@torch.no_grad()
def look_ahead(net: nn.Module, slow: dict[str, Tensor], keep: float) -> None:
    """Move the slow weights and statistics towards the net's, all but the share `keep` of the way, and set the net to them."""
    state = net.state_dict()
    for name, value in slow.items():
        value.lerp_(state[name], 1 - keep)
        state[name].copy_(value)


def batches_of(
    images: Tensor, labels: Tensor, epochs: float, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Shuffled, moved by up to PADDING pixels, mirrored every other epoch. images: (n, C, H, W) normalised, on the device."""
    n, device, size = len(labels), images.device, images.shape[-1]
    padded = functional.pad(images, [PADDING] * 4, mode="reflect")
    first = torch.rand(n, device=device, generator=generator) < 0.5
    left, epoch = steps_of(n, epochs), 0
    while left > 0:
        order = torch.randperm(n, device=device, generator=generator)
        for chosen in slices(order)[:left]:
            shift = torch.randint(0, 2 * PADDING + 1, (2, len(chosen), 1), device=device, generator=generator)
            rows = torch.arange(size, device=device) + shift[0]
            mirrored = first[chosen] ^ bool(epoch % 2)
            columns = torch.arange(size, device=device).expand(len(chosen), size)
            columns = torch.where(mirrored[:, None], size - 1 - columns, columns) + shift[1]
            picked = padded[chosen[:, None, None], :, rows[:, :, None], columns[:, None, :]]
            yield picked.permute(0, 3, 1, 2), labels[chosen]
        left, epoch = left - len(slices(order)), epoch + 1


def slices(order: Tensor) -> list[Tensor]:
    """Batches of an epoch, of order (n,): BATCH samples each, and in the last what is left, half to one and a half of that."""
    ends = [BATCH * i for i in range(steps_of(len(order), 1))] + [len(order)]
    return [order[a:b] for a, b in zip(ends, ends[1:], strict=False)]


def steps_of(samples: int, epochs: float) -> int:
    """Of a training."""
    return max(1, int(epochs * max(1, int(samples / BATCH + 0.5)) + 0.5))


@torch.inference_mode()
def accuracies(net: nn.Module, images: Tensor, labels: Tensor, bfloat16: bool) -> tuple[float, float]:
    """Share of images (n, C, H, W) with labels (n,) that is right, seen once, and on the mean of six views."""

    def mirrored(part: Tensor) -> Tensor:
        return net(part.flip(3)).float()

    net.eval()
    once, views = [], []
    for part in images.split(1000):
        part = part.contiguous(memory_format=torch.channels_last)
        wide = functional.pad(part, [1] * 4, mode="reflect")
        size = part.shape[-1]
        with torch.autocast(part.device.type, torch.bfloat16, enabled=bfloat16):
            plain, other_way = net(part).float(), mirrored(part)
            moved = [net(other).float() + mirrored(other) for other in (wide[:, :, :size, :size], wide[:, :, 2:, 2:])]
        once.append(plain.argmax(1))
        views.append(((plain + other_way) / 4 + sum(moved) / 8).argmax(1))
    return tuple((torch.cat(found) == labels).double().mean().item() for found in (once, views))


def run(cache: Path, seed: int, epochs: float, bfloat16: bool, device: torch.device) -> dict[str, Any]:
    """One training from the prepared data set: seconds of training alone, wall and CPU, and two accuracies on the test set."""
    from frugal.data.cache import open_cache
    from frugal.data.device import Pixels
    from frugal.measure.clock import synchronise

    opened = open_cache(cache)
    data, test = Pixels(opened, "train", device), Pixels(opened, "test", device)
    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = True
    generator = torch.Generator(device).manual_seed(seed)
    net = airbench.build(tuple(data.shape), 10).to(device, memory_format=torch.channels_last)
    everything = torch.arange(len(data), device=device)
    warm_up(copy.deepcopy(net), data.read(everything[:BATCH]), data.labels[:BATCH], bfloat16)
    synchronise(device)
    start, used = time.perf_counter(), time.process_time()
    images = torch.cat([data.read(part) for part in everything.split(5000)])
    net.initialise(images[torch.randperm(len(images), generator=generator, device=device)[:WHITENED]])
    fit(net, batches_of(images, data.labels, epochs, generator), steps_of(len(images), epochs), epochs, bfloat16)
    synchronise(device)
    seconds, used = time.perf_counter() - start, time.process_time() - used
    tested = torch.cat([test.read(part) for part in torch.arange(len(test), device=device).split(5000)])
    plain, views = accuracies(net, tested, test.labels, bfloat16)
    return {"train_seconds": seconds, "cpu_seconds": used, "test_accuracy": plain, "test_accuracy_flips": views}


def warm_up(net: nn.Module, images: Tensor, labels: Tensor, bfloat16: bool) -> None:
    """A few steps on a batch (b, C, H, W) and (b,), outside of the time, as ours takes to choose its precision."""
    net.initialise(images)
    fit(net, [(images, labels)] * 3, 3, 1, bfloat16)


def main() -> None:
    """Write the figures of one seed."""
    from frugal.atomic import write_json

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="manifest.json of the prepared CIFAR-10")
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=float, default=EPOCHS)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    found = run(given.cache, given.seed, given.epochs, given.precision == "bfloat16", torch.device(given.device))
    write_json(given.out, vars(given) | found | {"cache": str(given.cache), "out": str(given.out)})


if __name__ == "__main__":
    main()
