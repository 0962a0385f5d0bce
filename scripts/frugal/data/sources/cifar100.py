"""CIFAR-100: 50,000 training and 10,000 test photographs of 100 classes in 20 groups, 32x32.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from pathlib import Path
from typing import Literal

from frugal.data import cifar
from frugal.data.arrays import Arrays
from frugal.data.cifar import File, Release

RELEASE = Release(
    archive="cifar-100-binary.tar.gz",  # md5, which is what its authors publish: 03b5dce01913d631647c71ecec9e9cb8
    sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    folder="cifar-100-binary",
    pickled=("cifar-100-python", "cifar-100-python.tar.gz"),
    labels=(("coarse label", 20), ("fine label", 100)),
    train=(File("train.bin", 50_000, "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29"),),
    test=(File("test.bin", 10_000, "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a"),),
)


def read(
    folder: Path | None,
    downloads: Path,
    *,
    labels: Literal["fine", "coarse"] = "fine",
    mirrors: list[str] | None = None,
    verify: bool = True,
) -> Arrays:
    """Read CIFAR-100 from `cifar-100-binary/` or `cifar-100-binary.tar.gz` in the data folder, else download it.

    labels: fine for the 100 classes, coarse for the 20 groups; mirrors: addresses that the archive's name is appended to
    (default: its authors'); verify: false uses files that are not the published ones, and says so in the manifest
    """
    return cifar.read(RELEASE, folder, downloads, f"{labels} label", mirrors, verify)
