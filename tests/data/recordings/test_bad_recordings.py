"""Every bad recording gets a RecordingError that says what is wrong and where, and nothing else."""

import io
import json
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bacalhaunet.data.recordings.recording import open_recording, recording_of
from bacalhaunet.data.recordings.sample_types import sample_type
from bacalhaunet.errors import RecordingError
from tests.data.recordings.test_samples import wav_bytes, write_meta

GOOD = np.ones(100, np.complex64).tobytes()
ENDINGS = [".cf32", ".cs16", ".cu8", ".wav", ".npy", ".sigmf", ".sigmf-meta", ".sigmf-data"]


def refused(path, words, **settings):
    with pytest.raises(RecordingError, match=words) as caught:
        open_recording(path, **settings)
    assert str(path.parent) in str(caught.value)


def npy_bytes(array, header=None):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    content = file.getvalue()
    if header is None:
        return content
    text = header.ljust(117).encode() + b"\n"
    return content[:8] + np.array([len(text)], "<u2").tobytes() + text + content[10 + 118 :]


def tar_bytes(**members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


META = json.dumps({"global": {"core:datatype": "cf32_le", "core:version": "1.0.0"}, "captures": []}).encode()


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_of_0_bytes_is_refused(tmp_path, ending):
    path = tmp_path / f"signal{ending}"
    path.write_bytes(b"")
    if ending == ".sigmf-data":
        (tmp_path / "signal.sigmf-meta").write_bytes(META)
    refused(path, "empty|not JSON|not a|missing")


@pytest.mark.parametrize("ending", [*ENDINGS, ".xyz", ""])
def test_a_missing_file_and_a_folder_are_refused(tmp_path, ending):
    refused(tmp_path / f"absent{ending}", "no such recording")
    (tmp_path / f"folder{ending}").mkdir()
    refused(tmp_path / f"folder{ending}", "is a folder")


def test_an_ending_that_says_nothing_asks_for_the_type(tmp_path):
    (tmp_path / "signal.dat").write_bytes(GOOD)
    refused(tmp_path / "signal.dat", r"(?s)'\.dat' does not say.*--type cf32")


@pytest.mark.parametrize(("ending", "odd"), [(".cf32", 1), (".cf32", 4), (".cs16", 3), (".cu8", 1), (".cf64", 8)])
def test_an_odd_length_is_refused(tmp_path, ending, odd):
    (tmp_path / f"signal{ending}").write_bytes(GOOD + bytes(odd))
    refused(tmp_path / f"signal{ending}", f"{odd} left over")


@pytest.mark.parametrize("name", ["cf16", "cf8", "ci64", "rf32_le", "ri16", "float", "c", "", "cf32_xe", "i16"])
def test_unknown_and_real_types_are_refused_with_those_allowed(name):
    with pytest.raises(RecordingError, match=r"(?s)type.*allowed: cf32.*--type"):
        sample_type(name)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("part", [0, 1])
def test_nan_infinite_and_absurd_samples_are_located(tmp_path, value, part):
    values = np.ones((500, 2), np.float32)
    values[321, part] = value
    (tmp_path / "signal.cf32").write_bytes(values.tobytes())
    recording = open_recording(tmp_path / "signal.cf32")
    recording.read(0, 321)
    with pytest.raises(RecordingError, match=r"(?s)1 of 800 values.*sample 321"):
        recording.read(100, 500)


def test_samples_in_the_other_byte_order_are_noticed(tmp_path):
    values = np.random.default_rng(0).standard_normal(4096).astype(">f4")
    (tmp_path / "signal.cf32").write_bytes(values.tobytes())
    with pytest.raises(RecordingError, match="byte order"):
        open_recording(tmp_path / "signal.cf32").read(0, 2048)


def test_a_file_cut_while_it_is_open_is_an_error_not_a_crash(tmp_path):
    path = tmp_path / "signal.cf32"
    path.write_bytes(GOOD)
    recording = open_recording(path)
    path.write_bytes(GOOD[:400])
    with pytest.raises(RecordingError, match="400 bytes early"):
        recording.read(0, 100)


def test_metadata_without_data_and_data_without_metadata_are_refused(tmp_path):
    (tmp_path / "a.sigmf-meta").write_bytes(META)
    refused(tmp_path / "a.sigmf-meta", r"(?s)data file.*missing.*a\.sigmf-data")
    (tmp_path / "b.sigmf-data").write_bytes(GOOD)
    refused(tmp_path / "b.sigmf-data", r"(?s)metadata.*missing.*b\.sigmf-meta.*--type")
    assert len(open_recording(tmp_path / "b.sigmf-data", "cf32")) == 100


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "folder/data", "..", "", 7, "a/../../b"])
def test_a_data_set_outside_the_folder_is_refused(tmp_path, name):
    (tmp_path / "secret").write_bytes(GOOD)
    (tmp_path / "in").mkdir()
    meta = write_meta(tmp_path / "in" / "r", GOOD, "cf32_le", **{"core:dataset": name})
    refused(meta, r"(?s)core:dataset.*same folder")


def test_a_data_set_beside_the_metadata_is_read(tmp_path):
    meta = write_meta(tmp_path / "r", b"", "cf32_le", **{"core:dataset": "other.bin"})
    (tmp_path / "other.bin").write_bytes(GOOD)
    assert len(open_recording(meta)) == 100


METADATA = {
    "not JSON": (b"{", "not JSON"),
    "not UTF-8": (b"\xff\xfe{", "not JSON"),
    "nested without end": (b"[" * 100_000, "not JSON"),
    "a list": (b"[]", "not SigMF"),
    "no global": (b'{"captures": []}', "not SigMF"),
    "captures not a list": (b'{"global": {}, "captures": 3}', "not SigMF"),
    "a capture not an object": (b'{"global": {}, "captures": [3]}', "not SigMF"),
    "no type": (b'{"global": {}, "captures": []}', "core:datatype is None"),
    "a type that is a number": (b'{"global": {"core:datatype": 5}}', "core:datatype is 5"),
    "a real type": (b'{"global": {"core:datatype": "rf32_le"}}', "real, not complex"),
}


@pytest.mark.parametrize("name", METADATA)
def test_metadata_that_are_not_sigmf_are_refused(tmp_path, name):
    content, words = METADATA[name]
    (tmp_path / "r.sigmf-meta").write_bytes(content)
    (tmp_path / "r.sigmf-data").write_bytes(GOOD)
    refused(tmp_path / "r.sigmf-meta", words)


FIELDS = [
    ({"core:sample_rate": "fast"}, "core:sample_rate is 'fast'"),
    ({"core:sample_rate": -1}, r"core:sample_rate is -1"),
    ({"core:sample_rate": 0}, r"core:sample_rate is 0"),
    ({"core:sample_rate": 10**400}, "core:sample_rate"),
    ({"core:num_channels": 0}, "channel 0 of 0"),
    ({"core:num_channels": 2.5}, "core:num_channels is '2.5'"),
    ({"core:num_channels": 7}, "left over"),
    ({"core:trailing_bytes": 10_000_000_000}, "empty"),
    ({"core:metadata_only": True}, "metadata only"),
    ({"captures": [{"core:sample_start": 100}]}, "the data hold 100"),
    ({"captures": [{"core:sample_start": 1_250_000_000}]}, "the data hold 100"),
    ({"captures": [{"core:sample_start": 50}, {"core:sample_start": 20}]}, "ascending"),
    ({"captures": [{"core:sample_start": -1}]}, "core:sample_start"),
    ({"captures": [{"core:sample_start": 0, "core:frequency": []}]}, "core:frequency"),
    ({"captures": [{"core:sample_start": 0, "core:header_bytes": 10**10}]}, "empty"),
]


@pytest.mark.parametrize(("fields", "words"), FIELDS)
def test_fields_that_cannot_be_are_named(tmp_path, fields, words):
    refused(write_meta(tmp_path / "r", GOOD, "cf32_le", **fields), words)


def test_a_channel_that_is_not_there_is_refused(tmp_path):
    refused(write_meta(tmp_path / "r", GOOD, "cf32_le"), r"(?s)channel 1 of 1", channel=1)
    (tmp_path / "s.cf32").write_bytes(GOOD)
    refused(tmp_path / "s.cf32", "channel 2", channel=2)
    refused(tmp_path / "s.cf32", "channel -1", channel=-1)


ARCHIVES = {
    "text": (b"hello" * 200, "not a readable SigMF archive"),
    "no data": (tar_bytes(**{"r/r.sigmf-meta": META}), "no r/r.sigmf-data"),
    "no metadata": (tar_bytes(**{"r/r.sigmf-data": GOOD}), "holds 0 recordings"),
    "two recordings": (tar_bytes(**{"a.sigmf-meta": META, "b.sigmf-meta": META}), "holds 2 recordings"),
    "a path upwards": (tar_bytes(**{"../r.sigmf-meta": META, "../r.sigmf-data": GOOD}), "no plain file inside"),
    "an absolute path": (tar_bytes(**{"/r.sigmf-meta": META, "/r.sigmf-data": GOOD}), "no plain file inside"),
    "truncated": (tar_bytes(**{"r.sigmf-meta": META, "r.sigmf-data": GOOD})[:1700], "claims 800 bytes|not a readable"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_bad_archives_are_refused(tmp_path, name):
    content, words = ARCHIVES[name]
    (tmp_path / "r.sigmf").write_bytes(content)
    refused(tmp_path / "r.sigmf", words)


def test_a_link_in_an_archive_is_refused(tmp_path):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        link = tarfile.TarInfo("r.sigmf-data")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    (tmp_path / "r.sigmf").write_bytes(file.getvalue())
    refused(tmp_path / "r.sigmf", "no plain file inside")


CLAIM = "{'descr': '<c8', 'fortran_order': False, 'shape': (1250000000,)}"
ARRAYS = {
    "a claim of 10 GB": (npy_bytes(np.ones(100, np.complex64), CLAIM), "needs 10000000128 bytes"),
    "truncated": (npy_bytes(np.ones(100, np.complex64))[:500], "needs"),
    "truncated header": (npy_bytes(np.ones(100, np.complex64))[:60], "not a readable .npy"),
    "objects": (npy_bytes(np.array([{}, []], object)), "array is object"),
    "text": (npy_bytes(np.array(["a", "b"])), "array is <U1"),
    "one-dimensional real": (npy_bytes(np.ones(10)), r"array is float64 \(10,\)"),
    "three columns": (npy_bytes(np.ones((10, 3))), r"\(10, 3\)"),
    "a complex table by columns": (npy_bytes(np.asfortranarray(np.ones((3, 10), complex))), r"\(3, 10\)"),
    "half floats": (npy_bytes(np.ones((10, 2), np.float16)), "float16"),
    "a number": (npy_bytes(np.float32(3)), r"\(\)"),
    "empty": (npy_bytes(np.ones((0, 2))), "empty"),
    "empty frames": (npy_bytes(np.ones((3, 2, 0))), "empty"),
    "a negative shape": (npy_bytes(np.ones(9, complex), CLAIM.replace("1250000000", "-5")), "shape"),
    "an unfinished header": (npy_bytes(np.ones(9, complex), CLAIM[:-15]), "not a readable .npy"),
    "another file": (b"PK\x03\x04" * 50, "not a readable .npy"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_bad_arrays_are_refused(tmp_path, name):
    content, words = ARRAYS[name]
    (tmp_path / "r.npy").write_bytes(content)
    refused(tmp_path / "r.npy", words)


WAVES = {
    "another file": (b"OggS" * 20, "not a WAV file"),
    "mono": (wav_bytes(GOOD, channels=1), "1 channels"),
    "12 bits": (wav_bytes(GOOD, code=1, bits=12), "12 bits"),
    "a claim of 4 GB": (wav_bytes(GOOD, data_size=4_000_000_000), "claims 4000000000 bytes and 800 are left"),
    "truncated": (wav_bytes(GOOD)[:-100], "claims 800 bytes and 700 are left"),
    "no samples": (wav_bytes(b""), "empty"),
    "no data": (wav_bytes(GOOD)[:36], "no data chunk"),
    "odd": (wav_bytes(GOOD + b"abc"), "3 left over"),
}


@pytest.mark.parametrize("name", WAVES)
def test_bad_wav_files_are_refused(tmp_path, name):
    content, words = WAVES[name]
    (tmp_path / "r.wav").write_bytes(content)
    refused(tmp_path / "r.wav", words)


@pytest.mark.parametrize("array", [np.ones(5), np.ones((2, 3, 4)), np.ones((2, 2, 2), complex), np.array([], complex)])
def test_arrays_that_are_no_signal_are_refused(array):
    with pytest.raises(RecordingError):
        recording_of(array)


SEEDS = {
    ".wav": wav_bytes(GOOD[:64]),
    ".npy": npy_bytes(np.ones((2, 2, 4), np.float32)),
    ".sigmf": tar_bytes(**{"r.sigmf-meta": META, "r.sigmf-data": GOOD[:64]}),
    ".sigmf-meta": META,
    ".cs16": GOOD[:64],
}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_bytes_are_read_or_refused_but_never_crash(tmp_path_factory, data):
    ending = data.draw(st.sampled_from(sorted(SEEDS)))
    content = bytearray(SEEDS[ending])
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] + data.draw(st.binary(max_size=16))
    folder = tmp_path_factory.mktemp("damaged")
    (folder / f"r{ending}").write_bytes(content)
    (folder / "r.sigmf-data").write_bytes(GOOD)
    try:
        recording = open_recording(folder / f"r{ending}")
        samples = recording.read(0, min(len(recording), 10_000))
    except RecordingError:
        return
    assert np.isfinite(samples).all()
    assert len(samples) > 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = ["core:datatype", "core:sample_rate", "core:num_channels", "core:trailing_bytes", "core:dataset"]
CAPTURE_KEYS = ["core:sample_start", "core:header_bytes", "core:frequency", "core:datetime"]


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from(KEYS), json_values, max_size=3),
    st.lists(st.dictionaries(st.sampled_from(CAPTURE_KEYS), json_values | st.integers(0, 200)), max_size=3),
)
def test_any_metadata_are_read_or_refused(tmp_path_factory, fields, captures):
    document = {"global": {"core:datatype": "ci8", **fields}, "captures": captures}
    folder = tmp_path_factory.mktemp("metadata")
    (folder / "r.sigmf-meta").write_text(json.dumps(document))
    (folder / "r.sigmf-data").write_bytes(GOOD)
    try:
        recording = open_recording(folder / "r.sigmf-meta")
    except RecordingError:
        return
    assert len(recording.read(0, len(recording))) == len(recording) > 0
