"""MNIST: 60,000 training and 10,000 test images of handwritten digits, 28x28.

LeCun, Cortes and Burges, "The MNIST Database of Handwritten Digits", 1998, http://yann.lecun.com/exdb/mnist.
"""

from pathlib import Path

from frugal.data.arrays import Arrays
from frugal.data.sources import idx

# The author's own site no longer serves the files; these are the copies that torchvision and TensorFlow Datasets use.
MIRRORS = [
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
]
FOLDERS = ["MNIST/raw", "mnist", "."]  # torchvision's layout first
SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def read(folder: Path | None, downloads: Path, *, mirrors: list[str] | None = None) -> Arrays:
    """Read MNIST from the data folder, else download it; every file is verified.

    mirrors: addresses that the file names are appended to (default: the two public ones)
    """
    return idx.read(folder, downloads, folders=FOLDERS, sha256=SHA256, mirrors=MIRRORS if mirrors is None else mirrors)
