"""A cache that opens is whole and is what was written, at whatever moment its writing was cut off."""

import errno
import json
import os
import pickle
import signal

import numpy as np
import pytest

from frugal.data import cache as module
from frugal.data.cache import open_cache, write_cache
from frugal.errors import FrugalError

ABOUT = {"dataset": "tiny", "classes": 2, "mean": [1 / 3], "notes": []}


def arrays(seed=0, coefficients=True):
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (10, 1, 4, 4), dtype=np.uint8)
    content = {"train_images": images, "train_labels": np.arange(10) % 2, "dct_step": np.ones((1, 4, 4), np.float32)}
    return content | ({"train_coefficients": images.reshape(10, 16).astype(np.int8)} if coefficients else {})


def test_what_is_written_is_what_opens(tmp_path):
    written = arrays() | {"turned": np.arange(12).reshape(3, 4).T, "none": np.zeros((0, 4), np.uint8)}
    cache = open_cache(write_cache(tmp_path / "tiny", written, ABOUT))
    for name, array in written.items():
        np.testing.assert_array_equal(cache.array(name), array)
        assert cache.array(name).dtype == array.dtype
        assert isinstance(cache.array(name), np.memmap)
        assert not cache.array(name).flags.writeable
    assert ABOUT.items() <= cache.manifest.items()


def test_the_checksum_is_that_of_the_content(tmp_path):
    def checksum(folder, content, about=ABOUT):
        return open_cache(write_cache(tmp_path / folder, content, about)).checksum

    first = checksum("a", arrays())
    backwards = dict(reversed(arrays().items()))
    assert checksum("b", backwards, dict(reversed(ABOUT.items())) | {"notes": ["read on another machine"]}) == first
    assert checksum("b", arrays(seed=1)) != first
    assert checksum("b", arrays(), ABOUT | {"classes": 3}) != first
    assert checksum("b", arrays()) == first  # written over others, four times


def killed_at(step, folder, content):
    """Write a cache in a child process that is killed at its step-th change on disk; returns whether it lived on."""
    child = os.fork()
    if not child:
        steps = iter(range(1000))

        def dying(function):
            def counted(*args, **kwargs):
                if next(steps) == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **kwargs)

            return counted

        try:
            for name in ("replace", "fsync", "unlink", "open"):
                setattr(os, name, dying(getattr(os, name)))
            write_cache(folder, content, ABOUT)
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def test_killed_at_any_point_it_leaves_the_old_one_or_none(tmp_path):
    old, new = arrays(), arrays(seed=1, coefficients=False)
    checksums = [
        open_cache(write_cache(tmp_path / name, content, ABOUT)).checksum for name, content in (("o", old), ("n", new))
    ]
    seen, step, lived = set(), 0, False
    while not lived:
        folder = tmp_path / f"killed-{step}"
        manifest = write_cache(folder, old, ABOUT)
        lived = killed_at(step, folder, new)
        if manifest.exists():
            seen.add(open_cache(manifest).checksum)
        else:
            seen.add("none")
        assert open_cache(write_cache(folder, new, ABOUT)).checksum == checksums[1]  # and it is mended by writing again
        assert not list(folder.glob(".*.tmp"))
        assert not (folder / "train_coefficients.npy").exists()
        step += 1
    assert step > 15
    assert seen == {checksums[0], "none", checksums[1]}


@pytest.mark.parametrize("full_at", [1, 2, 4, 5])
def test_a_full_disk_is_one_line_and_the_old_cache_stays(tmp_path, monkeypatch, full_at):
    before = open_cache(write_cache(tmp_path, arrays(), ABOUT)).checksum
    calls = iter(range(1, 100))

    def fsync(descriptor):
        if next(calls) == full_at:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", fsync)
    with pytest.raises(FrugalError, match="cannot write .*: the disk is full"):
        write_cache(tmp_path, arrays(seed=1), ABOUT)
    monkeypatch.undo()
    assert open_cache(tmp_path / "manifest.json").checksum == before
    assert not list(tmp_path.glob(".*.tmp"))


def edit(change):
    """Damage to the file's bytes."""
    return lambda path: path.write_bytes(change(path.read_bytes()))


def swap_shape(content):
    return content.replace(b"(10, 1, 4, 4)", b"(1, 10, 4, 4)")


def other_classes(content):
    return json.dumps(json.loads(content) | {"classes": 3}).encode()


@pytest.mark.parametrize(
    ("name", "damage", "says"),
    [
        ("train_images.npy", edit(lambda content: content[:-1]), r"damaged \(287 bytes, the manifest says 288\)"),
        ("train_images.npy", edit(lambda content: content[:-1] + bytes([content[-1] ^ 1])), "damaged .its sha256"),
        ("train_images.npy", edit(swap_shape), "damaged .its sha256"),
        ("train_images.npy", edit(lambda content: pickle.dumps(print).ljust(len(content))), "damaged .its sha256"),
        ("train_images.npy", edit(lambda content: b""), "damaged .0 bytes"),
        ("train_labels.npy", lambda path: path.unlink(), "is missing"),
        ("manifest.json", edit(lambda content: content[:-20]), "damaged"),
        ("manifest.json", edit(lambda content: b""), "damaged"),
        ("manifest.json", edit(lambda content: b"[]"), "damaged"),
        ("manifest.json", edit(lambda content: b"{}"), "damaged"),
        ("manifest.json", edit(other_classes), "damaged"),
        ("manifest.json", lambda path: path.unlink(), "is missing: the data set is not prepared; run snakemake"),
    ],
)
def test_damage_is_found_and_named(tmp_path, name, damage, says):
    manifest = write_cache(tmp_path / "tiny", arrays(), ABOUT)
    damage(tmp_path / "tiny" / name)
    with pytest.raises(FrugalError, match=f"{name} is .*") as found:
        open_cache(manifest)
    assert "\n" not in str(found.value)
    assert found.match(says)


def test_no_pickle_goes_in_and_an_absent_array_is_named(tmp_path):
    with pytest.raises(TypeError, match="plain numbers"):
        write_cache(tmp_path / "objects", {"words": np.array(["a", None])}, ABOUT)
    cache = open_cache(write_cache(tmp_path / "plain", arrays(coefficients=False), ABOUT))
    with pytest.raises(FrugalError, match="the cache of tiny has no train_coefficients, it has .*; set `dct`"):
        cache.array("train_coefficients")


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "in-the-way").write_text("")
    with pytest.raises(FrugalError, match="cannot write .*in-the-way"):
        write_cache(tmp_path / "in-the-way" / "tiny", arrays(), ABOUT)
