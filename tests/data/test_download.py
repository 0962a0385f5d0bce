"""A download is the published file or an error that says what every mirror answered; nothing in between is left."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from frugal.data.download import download
from frugal.errors import FrugalError

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SILENCE = 0.4  # seconds until a mirror is given up, here
ONE_DOWNLOAD = "import sys; from pathlib import Path; from frugal.data.download import download; " + (
    f"download('file', [sys.argv[1]], '{SHA256}', Path(sys.argv[2]), timeout=20)"
)


def corrupted(mirror):
    mirror.offer("/bad/file", CONTENT[:-1] + b"?")


def truncated(mirror):
    mirror.offer("/bad/file", CONTENT[:-1000], length=len(CONTENT))


def absent(mirror):
    del mirror  # answers 404 for every path it isn't given


def stalled_in_the_middle(mirror):
    mirror.offer("/bad/file", CONTENT, pause=lambda handler: mirror.over.wait(20))


def stalled_before_answering(mirror):
    mirror.pages["/bad/file"] = lambda handler: mirror.over.wait(20)


def talking_nonsense(mirror):
    mirror.pages["/bad/file"] = lambda handler: handler.wfile.write(b"NONSENSE\r\n\r\n")


def hanging_up(mirror):
    mirror.pages["/bad/file"] = lambda handler: handler.connection.shutdown(socket.SHUT_RDWR)


BAD = {
    corrupted: "not the published file, sha256 [0-9a-f]{64}",
    truncated: "truncated, 255,000 of 256,000 bytes",
    absent: "HTTP 404 Not Found",
    stalled_in_the_middle: "silent for 0.4 s",
    stalled_before_answering: "silent for 0.4 s",
    talking_nonsense: "BadStatusLine",
    hanging_up: "closed connection|reset",
}


def remains(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


@pytest.mark.parametrize(("misbehave", "answer"), BAD.items(), ids=[bad.__name__ for bad in BAD])
def test_every_answer_is_in_the_one_line_error_and_nothing_stays_behind(mirror, tmp_path, misbehave, answer):
    misbehave(mirror)
    began = time.monotonic()
    with pytest.raises(FrugalError, match=answer) as failed:
        download("file", [f"{mirror.url}/bad", f"{mirror.url}/absent/"], SHA256, tmp_path, timeout=SILENCE)
    assert time.monotonic() - began < 10 * SILENCE
    said = str(failed.value)
    assert "\n" not in said
    for part in (
        "file is missing",
        f"{mirror.url}/bad/file: ",
        f"{mirror.url}/absent/file: HTTP 404",
        SHA256,
        str(tmp_path),
    ):
        assert part in said
    assert remains(tmp_path) == []


@pytest.mark.parametrize("misbehave", BAD, ids=[bad.__name__ for bad in BAD])
def test_the_second_mirror_is_used_when_the_first_is_bad(mirror, tmp_path, misbehave):
    misbehave(mirror)
    mirror.offer("/good/file", CONTENT)
    path = download("file", [f"{mirror.url}/bad", f"{mirror.url}/good"], SHA256, tmp_path, timeout=SILENCE)
    assert path.read_bytes() == CONTENT
    assert remains(tmp_path) == ["file"]


def test_a_server_that_is_slow_but_never_silent_is_not_given_up(mirror, tmp_path):
    def drip(handler):
        for _ in range(6):
            time.sleep(SILENCE / 3)
            handler.wfile.write(b"x")
            handler.wfile.flush()

    slow = CONTENT[: len(CONTENT) // 2] + b"xxxxxx" + CONTENT[len(CONTENT) // 2 :]
    mirror.offer("/file", CONTENT, length=len(slow), pause=drip)
    assert download("file", [mirror.url], hashlib.sha256(slow).hexdigest(), tmp_path, SILENCE).read_bytes() == slow


@pytest.mark.parametrize(
    "address", ["ftp://127.0.0.1", "file:///etc", "no address", "http://127.0.0.1:1", "http://[", "http://"]
)
def test_an_address_that_cannot_work_is_one_answer_among_others(tmp_path, monkeypatch, address):
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(FrugalError, match="file is missing and no mirror delivered it") as failed:
        download("file", [address], SHA256, tmp_path, timeout=SILENCE)
    assert address in str(failed.value)


def test_a_file_that_is_there_is_verified_and_not_fetched_again(mirror, tmp_path):
    mirror.offer("/file", CONTENT)
    (tmp_path / "file").write_bytes(CONTENT)
    download("file", [mirror.url], SHA256, tmp_path)
    (tmp_path / "file").write_bytes(b"something else")
    with pytest.raises(
        FrugalError, match=f"file is not the published file: sha256 expected {SHA256}, found [0-9a-f]{{64}}"
    ):
        download("file", [mirror.url], SHA256, tmp_path)
    assert mirror.asked == []


def start(mirror, folder):
    scripts = Path(__file__).parents[2] / "scripts"
    return subprocess.Popen(
        [sys.executable, "-c", ONE_DOWNLOAD, mirror.url, folder], env=os.environ | {"PYTHONPATH": str(scripts)}
    )


def test_two_processes_download_a_file_once(mirror, tmp_path):
    mirror.offer("/file", CONTENT, pause=lambda handler: time.sleep(1))
    both = [start(mirror, tmp_path) for _ in range(2)]
    assert [process.wait(30) for process in both] == [0, 0]
    assert mirror.asked == ["/file"]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_killed_download_is_started_afresh(mirror, tmp_path):
    mirror.offer("/file", CONTENT, pause=lambda handler: mirror.over.wait(20))
    process = start(mirror, tmp_path)
    deadline = time.monotonic() + 20
    while not any(name.endswith(".tmp") for name in remains(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [name.endswith(".tmp") for name in remains(tmp_path)] == [
        True
    ]  # a part is there, but not under the file's name
    mirror.offer("/file", CONTENT)
    assert download("file", [mirror.url], SHA256, tmp_path).read_bytes() == CONTENT
    assert remains(tmp_path) == ["file"]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "in-the-way").write_text("")
    for folder in (tmp_path / "in-the-way", tmp_path / "in-the-way" / "below"):
        with pytest.raises(FrugalError, match="cannot write .*in-the-way"):
            download("file", ["http://127.0.0.1:1"], SHA256, folder)
