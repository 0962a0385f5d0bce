"""How a text file is written, its encoding and its separator, found out where nobody says; whoever asks tells the user.

Only what can be told for sure: an encoding by its byte-order mark, by the zeros of UTF-16, or by decoding the whole file; a
separator by rows that all have as many fields as the header. What has two readings is refused.
"""

import codecs
import csv
from typing import IO

from frugal.errors import FrugalError

MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
UNDEFINED = bytes((0x81, 0x8D, 0x8F, 0x90, 0x9D))  # in cp1252; other encodings of one byte or two use them for letters
SEPARATORS = ",;\t|"
CHUNK = 1 << 20
ZEROS = 0.3  # share of zeros among every second byte from which a text is UTF-16: Latin script has nearly 1


def encoding_of(binary: IO[bytes], file: str) -> tuple[str, str]:
    """The codec of a file, and what a user should know of it. Raises FrugalError where it is neither UTF nor cp1252.

    binary: from its first byte, read to its end unless the first bytes say it
    """
    start = binary.read(CHUNK)
    for mark, codec in MARKS:
        if start.startswith(mark):
            return codec, f"{codec}, by its byte-order mark"
    head = start[:4096]
    for offset, codec in ((1, "utf-16-le"), (0, "utf-16-be")):
        half = head[offset::2]
        if half and half.count(0) > ZEROS * len(half) > head[1 - offset :: 2].count(0):
            return codec, f"{codec}, by the zeros between its letters"
    decoder, line, piece = codecs.getincrementaldecoder("utf-8")(), 1, start
    while True:
        try:
            decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            return _one_byte(binary, piece, line + error.object[: error.start].count(b"\n"), error, file)
        if not piece:
            return "utf-8", "utf-8"
        line += piece.count(b"\n")
        piece = binary.read(CHUNK)


def _one_byte(binary: IO[bytes], piece: bytes, line: int, error: UnicodeDecodeError, file: str) -> tuple[str, str]:
    odd, shown = error.object[error.start], error.object
    while piece:
        if found := next((byte for byte in UNDEFINED if byte in piece), None):
            raise FrugalError(
                f"{file} is neither UTF-8 (byte {odd:#04x} in line {line}) nor cp1252 (byte {found:#04x}); save it as UTF-8, or "
                "set `encoding`, such as shift_jis, gb18030, cp1251"
            )
        piece = binary.read(CHUNK)
    around = shown[max(0, error.start - 15) : error.start + 15].decode("cp1252").split()
    word = next((part for part in around if bytes((odd,)).decode("cp1252") in part), "")
    return "cp1252", f"cp1252 (Latin-1 of Windows), since byte {odd:#04x} in line {line} is not UTF-8; read as {word!r}"


def separator_of(lines: list[str], file: str) -> str:
    """The separator by which rows have as many fields as the header; "," where no other parts the header either.

    lines: the first of the file, whole ones. Raises FrugalError where two fit all rows.
    """
    fits = {}
    for separator in SEPARATORS:
        try:
            rows = [row for row in csv.reader(lines, delimiter=separator, skipinitialspace=True) if row]
        except csv.Error:
            continue
        if rows and len(rows[0]) > 1:
            fits[separator] = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
    whole = [separator for separator, share in fits.items() if share == 1]
    if len(whole) > 1 and len(lines) > 1:
        told = " or ".join(repr(separator) for separator in whole)
        raise FrugalError(
            f"{file}: the separator may be {told}, each parts all rows alike; set `separator` in its options"
        )
    return max(fits, key=lambda separator: fits[separator]) if fits else ","
