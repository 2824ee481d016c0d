"""Whatever is wrong with a recording, ``classify`` ends with 2, says what and where, and leaves no file behind."""

import json
import struct

import numpy as np
import pytest

from bacalhaunet.classify import classifier
from bacalhaunet.cli.main import main
from tests.classify.fake_engine import PowerEngine
from tests.data.recordings.test_bad_recordings import CLAIM, META, npy_bytes, tar_bytes
from tests.data.recordings.test_samples import wav_bytes

SAMPLES = np.random.default_rng(0).standard_normal(256).astype("<f4").tobytes()
NOT_FINITE = np.full(8192, np.nan, "<f4").tobytes()
SWAPPED = np.random.default_rng(0).standard_normal(8192).astype(">f4").tobytes()


def meta(**fields):
    captures = fields.pop("captures", [])
    return json.dumps({"global": {"core:datatype": "cf32_le", **fields}, "captures": captures}).encode()


def tar_claim():
    content = bytearray(tar_bytes(**{"r.sigmf-data": SAMPLES, "r.sigmf-meta": META}))
    content[124:136] = b"%011o\0" % 10**10  # size, octal
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    return bytes(content)


def rf64_claim():
    sizes = struct.pack("<4sI4s4sIQQQI", b"RF64", 0xFFFFFFFF, b"WAVE", b"ds64", 28, 10**10 + 80, 10**10, 10**9, 0)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 2, 48_000, 48_000 * 8, 8, 32)
    return sizes + form + struct.pack("<4sI", b"data", 0xFFFFFFFF) + SAMPLES


# What is classified, other files beside it, words of the message.
CASES = {
    "0 bytes": ("r.cf32", b"", {}, "empty"),
    "0 bytes of SigMF data": ("r.sigmf-meta", META, {"r.sigmf-data": b""}, "empty"),
    "0 bytes of metadata": ("r.sigmf-meta", b"", {"r.sigmf-data": SAMPLES}, "not JSON"),
    "an empty array": ("r.npy", npy_bytes(np.zeros(0, np.complex64)), {}, "empty"),
    "a truncated sample": ("r.cf32", SAMPLES[:-3], {}, "5 left over"),
    "an odd number of values": ("r.cs16", SAMPLES[:-2], {}, "2 left over"),
    "an odd number of bytes": ("r.cu8", SAMPLES[:-1], {}, "1 left over"),
    "a truncated archive": (
        "r.sigmf",
        tar_bytes(**{"r.sigmf-meta": META, "r.sigmf-data": SAMPLES})[:1600],
        {},
        "truncated|not a readable",
    ),
    "a truncated array": ("r.npy", npy_bytes(np.ones(99, np.complex64))[:300], {}, "truncated"),
    "a truncated WAV file": ("r.wav", wav_bytes(SAMPLES)[:-9], {}, "truncated"),
    "NaN": ("r.cf32", NOT_FINITE, {}, "NaN"),
    "NaN in SigMF": ("r.sigmf-meta", META, {"r.sigmf-data": NOT_FINITE}, "sample 0"),
    "NaN in an array": ("r.npy", npy_bytes(np.full((5000, 2), np.nan)), {}, "NaN"),
    "a type that is unknown": ("r.sigmf-meta", meta(**{"core:datatype": "cf31"}), {"r.sigmf-data": SAMPLES}, "cf31"),
    "a real type": ("r.sigmf-meta", meta(**{"core:datatype": "ri16_le"}), {"r.sigmf-data": SAMPLES}, "real"),
    "an array of text": ("r.npy", npy_bytes(np.array(["a"])), {}, "array is"),
    "text that is called cf32": ("r.cf32", b"amplitude of I and Q, in volts:\n\n" * 304, {}, "absurdly large"),
    "the other byte order": ("r.cf32", SWAPPED, {}, "byte order"),
    "the other byte order in SigMF": ("r.sigmf-meta", META, {"r.sigmf-data": SWAPPED}, "byte order"),
    "metadata without data": ("r.sigmf-meta", META, {}, "data file"),
    "data without metadata": ("r.sigmf-data", SAMPLES, {}, "metadata of the recording is missing"),
    "a path that leaves the folder": (
        "r.sigmf-meta",
        meta(**{"core:dataset": "../../etc/passwd"}),
        {},
        "same folder",
    ),
    "an archive that leaves the folder": ("r.sigmf", tar_bytes(**{"../r.sigmf-meta": META}), {}, "inside its folder"),
    "10 GB claimed by an array": ("r.npy", npy_bytes(np.ones(100, np.complex64), CLAIM), {}, "10000000128 bytes"),
    "10 GB claimed by an archive": ("r.sigmf", tar_claim(), {}, "10000000000|not a readable"),
    "10 GB claimed by an RF64 file": ("r.wav", rf64_claim(), {}, "10000000000 bytes"),
    "10 GB claimed by a capture": (
        "r.sigmf-meta",
        meta(captures=[{"core:sample_start": 1_250_000_000}]),
        {"r.sigmf-data": SAMPLES},
        "data hold 128",
    ),
    "10 GB claimed by a header": (
        "r.sigmf-meta",
        meta(captures=[{"core:sample_start": 0, "core:header_bytes": 10**10}]),
        {"r.sigmf-data": SAMPLES},
        "empty",
    ),
    "10 GB claimed as trailing bytes": (
        "r.sigmf-meta",
        meta(**{"core:trailing_bytes": 10**10}),
        {"r.sigmf-data": SAMPLES},
        "empty",
    ),
}


@pytest.mark.parametrize("command", ["classify", "scan"])
@pytest.mark.parametrize("case", CASES)
def test_bad_recordings_end_with_2_and_a_message(tmp_path, monkeypatch, capsys, case, command):
    if command == "scan":
        pytest.importorskip("scipy", reason="needs scipy")
    monkeypatch.setattr(classifier, "open_engine", lambda target, engine="auto", threads=None: PowerEngine())
    name, content, others, words = CASES[case]
    for file, its in ({name: content} | others).items():
        (tmp_path / file).write_bytes(its)
    before = sorted(tmp_path.iterdir())
    code = main([command, str(tmp_path / name), "--network", "any", "-o", str(tmp_path / "x.csv")])
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    assert captured.err.startswith("error: ")
    assert any(word in captured.err for word in words.split("|"))
    assert str(tmp_path) in captured.err
    assert sorted(tmp_path.iterdir()) == before
