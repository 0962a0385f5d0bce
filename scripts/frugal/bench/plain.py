"""Plain training loop to compare with: a torchvision-style data set behind a DataLoader, one `.item()` per step."""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import VisionDataset


class Images(VisionDataset):
    """uint8 images (n, C, H, W) served as torchvision serves MNIST and CIFAR-10: a PIL image and a transform per sample."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: Callable):
        super().__init__("", transform=transform)
        self.images = images.transpose(0, 2, 3, 1).squeeze()
        self.labels = labels.tolist()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def transform(size: int, padding: int, flip: bool) -> Callable:
    """Random crop, flip, tensor, normalisation; those that are asked for."""
    steps = [transforms.RandomCrop(size, padding=padding)] if padding else []
    steps += [transforms.RandomHorizontalFlip()] if flip else []
    return transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(0.5, 0.25)])


def epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: Images,
    batch_size: int,
    device: torch.device,
    bfloat16: bool = False,
) -> float:
    """One epoch as tutorials have it; returns the mean loss. bfloat16: whether it computes with torch's autocast to that."""
    model.train()
    total = 0.0
    for images, labels in DataLoader(data, batch_size, shuffle=True):
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            loss = functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(labels)
    return total / len(data)
