"""CIFAR-10: 50,000 training and 10,000 test photographs of ten classes, 32x32 in colour.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from pathlib import Path

from frugal.data import cifar
from frugal.data.arrays import Arrays
from frugal.data.cifar import File, Release

# A copy in which 20 images come from JPEGs: 0.002 is the most by which they can change a test accuracy.
REBUILT = "20 of its 10,000 images (19 ships and a horse) are decoded JPEGs and not exact, the others are"

RELEASE = Release(
    archive="cifar-10-binary.tar.gz",  # md5, which is what its authors publish: c32a1d4ab5d03f1284b67883e8d87530
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    folder="cifar-10-batches-bin",
    pickled=("cifar-10-batches-py", "cifar-10-python.tar.gz"),
    labels=(("label", 10),),
    train=(
        File("data_batch_1.bin", 10_000, "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
        File("data_batch_2.bin", 10_000, "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
        File("data_batch_3.bin", 10_000, "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
        File("data_batch_4.bin", 10_000, "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
        File("data_batch_5.bin", 10_000, "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
    ),
    test=(
        File(
            "test_batch.bin",
            10_000,
            "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
            inexact=(("123ca0dad8f960344d9149742165d4215093c84c8c4bdc5922af93b614bdb501", REBUILT),),
        ),
    ),
)


def read(folder: Path | None, downloads: Path, *, mirrors: list[str] | None = None, verify: bool = True) -> Arrays:
    """Read CIFAR-10 from `cifar-10-batches-bin/` or `cifar-10-binary.tar.gz` in the data folder, else download it.

    mirrors: addresses that the archive's name is appended to (default: its authors'); verify: false uses files that are
    not the published ones, and says so in the manifest
    """
    return cifar.read(RELEASE, folder, downloads, "label", mirrors, verify)
