"""A picture is shown as a viewer shows it: turned by its EXIF, with all its bits scaled; what has no 8 bits is refused."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

import photos
from frugal.data.files import Files
from frugal.data.pictures import DARK, DEEP, FLOAT, MOST_PIXELS, SEVERAL, TURNED, Damaged, orientation_of_jpeg, picture
from frugal.data.shards import Image as File
from frugal.data.shards import read

GREY = "were grey-scale and are RGB now"


def scene(width=24, height=16, mode="RGB"):
    """Four corners of different colours, smooth between, and no symmetry."""
    corners = np.array([[[250, 20, 30], [20, 240, 60]], [[40, 60, 230], [210, 200, 20]]], np.uint8)
    return Image.fromarray(corners).resize((width, height), Image.Resampling.BILINEAR).convert(mode)


def written(image, kind, **options):
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def exif_of(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "a maker"
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "CMYK", "PNG", "WEBP", "TIFF"])
def test_a_picture_is_turned_as_its_exif_says(orientation, kind):
    mode, kind = ("CMYK", "JPEG") if kind == "CMYK" else ("RGB", kind)
    options = {"exif": exif_of(orientation)} | ({"quality": 95, "subsampling": 0} if kind == "JPEG" else {})
    content = written(scene(mode=mode), kind, **options, **({"lossless": True} if kind == "WEBP" else {}))
    with Image.open(BytesIO(content)) as opened:
        expected = written(ImageOps.exif_transpose(opened).convert("RGB"), "PNG")
    pixels, done = picture(content, 8, 8)
    assert np.abs(pixels.astype(int) - picture(expected, 8, 8)[0]).mean() < 6
    assert (TURNED in done) == (orientation != 1)
    upright = picture(written(scene(), "PNG"), 8, 8)[0]
    assert (np.abs(pixels.astype(int) - upright).mean() < 12) == (orientation == 1)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "letter"), [(3, "H"), (4, "I")])
def test_the_orientation_is_found_in_either_byte_order(order, kind, letter):
    entry = struct.pack(f"{order}HHI{letter}", 0x0112, kind, 1, 6).ljust(12, b"\0")
    tiff = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, 1) + entry
    segment = b"Exif\0\0" + tiff
    comment = b"\xff\xff\xfe\0\4ab"  # a filling byte before it
    jpeg = b"\xff\xd8" + comment + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment
    assert orientation_of_jpeg(jpeg + b"\xff\xda\0\2") == 6
    assert [orientation_of_jpeg(jpeg[:length]) for length in range(len(jpeg) - 4)] == [1] * (len(jpeg) - 4)


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=80))
def test_exif_of_any_bytes_is_an_orientation(content):
    assert 1 <= orientation_of_jpeg(b"\xff\xd8\xff\xe1\0\x60Exif\0\0MM\0*" + content) <= 8
    assert 1 <= orientation_of_jpeg(b"\xff\xd8" + content) <= 8


def test_a_turned_picture_decoded_while_training_is_that_of_the_cache(tmp_path):
    home = tmp_path / "data/photos"
    photos.write(home)
    for orientation in range(2, 9):
        scene().save(home / "train/ant" / f"turned{orientation}.jpg", exif=exif_of(orientation))
    cache = photos.prepared(tmp_path)
    assert f"7 images {TURNED}" in cache.manifest["notes"]
    store, rows = Files(cache, "cpu", 1), cache.array("train_images")
    for sample, row in enumerate(rows):
        np.testing.assert_array_equal(store.decoding.decode(store.listing.file(sample)), row)


def png(depth, colour, rows, width=None):
    """A PNG file made by hand. rows: (h, w[, 3]) integers; width: that its header claims"""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    lines = b"".join(b"\0" + row.astype(f">u{depth // 8}").tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width or rows.shape[1], rows.shape[0], depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


RAMP = (np.arange(64).reshape(8, 8) * 1040).astype(np.uint16)


@pytest.mark.parametrize(
    "content",
    [
        png(16, 0, RAMP),
        png(16, 2, np.repeat(RAMP[..., None], 3, 2)),
        written(Image.fromarray(RAMP), "TIFF"),
        written(Image.fromarray(RAMP), "TIFF", compression="tiff_lzw"),
        b"P5 8 8 65535 " + RAMP.astype(">u2").tobytes(),
    ],
    ids=["grey PNG", "RGB PNG", "TIFF", "packed TIFF", "PGM"],
)
def test_the_higher_8_of_16_bits_are_kept(content):
    pixels, done = picture(content, 8, 8)
    np.testing.assert_array_equal(pixels, np.broadcast_to(RAMP >> 8, (3, 8, 8)))
    assert DEEP in done


def test_16_bits_of_which_only_12_are_used_are_said_to_be_dark():
    pixels, done = picture(png(16, 0, RAMP // 17), 8, 8)
    assert pixels.max() == 15
    assert done == (DARK, GREY)


@pytest.mark.parametrize("orientation", [1, 6])
def test_floating_point_pixels_are_0_to_1(orientation):
    values = (np.arange(96).reshape(8, 12) / 95).astype(np.float32)
    content = written(Image.fromarray(values), "TIFF", tiffinfo={0x0112: orientation})
    pixels, done = picture(content, 8, 8)
    shade = np.rint(values * 255)
    shade = shade[:, 2:10] if orientation == 1 else np.rot90(shade, -1)[2:10]
    np.testing.assert_array_equal(pixels[0], shade)
    assert done == ((TURNED,) if orientation == 6 else ()) + (FLOAT, GREY)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.full((8, 8), 200.0, np.float32), "floating-point pixels of 200 to 200, 0 to 1 are read; scale them"),
        (np.full((8, 8), -0.5, np.float32), "floating-point pixels of -0.5"),
        (np.full((8, 8), np.nan, np.float32), "floating-point pixels of nan"),
        (np.full((8, 8), 70_000, np.int32), "pixels of mode I have no range that is known; save 8 or 16 bits"),
    ],
)
def test_pixels_without_a_known_range_are_refused(values, says):
    with pytest.raises(Damaged, match=says):
        picture(written(Image.fromarray(values), "TIFF"), 8, 8)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_of_several_pictures_in_a_file_the_first_is_taken_and_it_is_said(kind):
    first, second = scene(mode="RGB"), ImageOps.invert(scene())
    options = {"lossless": True} if kind == "WEBP" else {}
    several = written(first, kind, save_all=True, append_images=[second, first], **options)
    pixels, done = picture(several, 8, 8)
    assert SEVERAL in done
    np.testing.assert_array_equal(pixels, picture(written(first, kind, **options), 8, 8)[0])
    assert SEVERAL not in picture(written(first, kind, **options), 8, 8)[1]


def test_transparency_of_a_palette_is_dropped_as_that_of_colours_is():
    palette = scene(mode="RGB").quantize(16)
    pixels, done = picture(written(palette, "PNG", transparency=bytes(range(16))), 8, 8)
    np.testing.assert_array_equal(pixels, picture(written(palette, "PNG"), 8, 8)[0])
    assert done == ("were palette and are RGB now",)


def bad_files():
    jpeg = written(scene(200, 200), "JPEG")
    huge = struct.pack(">HH", 40_000, 40_000)
    sized = jpeg.index(b"\xff\xc0") + 5
    return {
        "truncated JPEG": jpeg[: len(jpeg) // 2],
        "JPEG of no rows": jpeg[:sized] + b"\0\0" + jpeg[sized + 2 :],
        "JPEG bomb": jpeg[:sized] + huge + jpeg[sized + 4 :],
        "PNG of no columns": png(8, 0, np.zeros((3, 0), np.uint8)),
        "PNG bomb": png(8, 0, np.zeros((1, 1), np.uint8), MOST_PIXELS + 1),
        "PPM of no columns": b"P6 0 4 255 ",
        "half a TIFF": written(scene(), "TIFF")[:200],
        "no image": b"no image",
        "nothing": b"",
    }


@pytest.mark.parametrize("name", bad_files())
def test_a_damaged_picture_is_listed_with_a_reason_that_is_the_same_every_time(name, tmp_path):
    path = tmp_path / "0.jpg"
    reasons = set()
    for attempt in range(3):
        path.write_bytes(bad_files()[name])
        scene().save(tmp_path / "1.png")
        shards = tmp_path / f"shards{attempt}"
        shards.mkdir()
        done = read([File(path, "0.jpg", 8), File(tmp_path / "1.png", "1.png", 8)], 8, shards, 1, 1.0)
        assert done.good.tolist() == [False, True]
        reasons |= {reason for _, reason in done.skipped}
    assert len(reasons) == 1
    assert " at 0x" not in (reason := reasons.pop())
    assert reason.isprintable()
