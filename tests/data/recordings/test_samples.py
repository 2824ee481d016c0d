"""Every format gives back the samples that were written, in any slices."""

import json
import tarfile
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bacalhaunet.data.recordings.formats import RAW_ENDINGS
from bacalhaunet.data.recordings.recording import open_recording, recording_of
from bacalhaunet.data.recordings.sample_types import sample_type
from bacalhaunet.data.recordings.sigmf_writer import Annotation, write_sigmf
from bacalhaunet.errors import RecordingError

TYPES = ["cf32_le", "cf32_be", "cf64_le", "cf64_be", "ci8", "cu8"] + [
    f"c{kind}{bits}_{order}" for kind in "iu" for bits in (16, 32) for order in ("le", "be")
]


def stored_values(name, count, seed=0):
    """I and Q values of a type over its whole range, and the complex64 they mean."""
    kind, generator = sample_type(name), np.random.default_rng(seed)
    if kind.component.kind == "f":
        values = generator.standard_normal((count, 2)).astype(kind.component)
        return values, (values[:, 0] + 1j * values[:, 1]).astype(np.complex64)
    limits = np.iinfo(kind.component)
    values = generator.integers(limits.min, limits.max, (count, 2), endpoint=True).astype(kind.component)
    half = (int(limits.max) - int(limits.min) + 1) / 2
    middle = half if limits.min == 0 else 0
    scaled = (values.astype(float) - middle) / half
    return values, scaled[:, 0] + 1j * scaled[:, 1]


def write_meta(path, samples_bytes, datatype, **fields):
    captures = fields.pop("captures", [{"core:sample_start": 0}])
    document = {"global": {"core:datatype": datatype, "core:version": "1.0.0", **fields}, "captures": captures}
    path.with_suffix(".sigmf-meta").write_text(json.dumps(document))
    path.with_suffix(".sigmf-data").write_bytes(samples_bytes)
    return path.with_suffix(".sigmf-meta")


@pytest.mark.parametrize("name", TYPES)
def test_sigmf_of_every_type_and_byte_order_reads_its_samples(tmp_path, name):
    values, expected = stored_values(name, 300)
    recording = open_recording(write_meta(tmp_path / "r", values.tobytes(), name, **{"core:sample_rate": 2e6}))
    assert (len(recording), recording.sample_rate) == (300, 2e6)
    read = recording.read(0, 300)
    assert read.dtype == np.complex64
    assert np.allclose(read, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("ending", RAW_ENDINGS)
def test_raw_endings_mean_their_types(tmp_path, ending):
    values, expected = stored_values(RAW_ENDINGS[ending], 50)
    (tmp_path / f"signal{ending}").write_bytes(values.tobytes())
    assert np.allclose(open_recording(tmp_path / f"signal{ending}").read(0, 50), expected, rtol=1e-6, atol=1e-7)


def test_a_given_type_replaces_what_the_ending_says(tmp_path):
    values, expected = stored_values("ci16_be", 50)
    for name in ("signal.cf32", "signal.bin", "signal"):
        (tmp_path / name).write_bytes(values.tobytes())
        assert np.allclose(open_recording(tmp_path / name, "ci16_be").read(0, 50), expected, atol=1e-7)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_slice_is_the_slice_of_the_whole(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("slices")
    count = data.draw(st.integers(3, 200))
    values, expected = stored_values("ci16_le", count, seed=count)
    frames = values[: count // 5 * 5].reshape(-1, 5, 2).transpose(0, 2, 1)
    ways = {
        "interleaved": values,
        "planar": np.ascontiguousarray(values.T),
        "interleaved in Fortran order": np.asfortranarray(values),
        "planar in Fortran order": values.T,
        "frames": np.ascontiguousarray(frames),
        "frames in Fortran order": np.asfortranarray(frames),
    }
    way = data.draw(st.sampled_from([name for name, array in ways.items() if array.size and array.shape != (2, 2)]))
    np.save(folder / "s.npy", ways[way])
    recording = open_recording(folder / "s.npy")
    start = data.draw(st.integers(0, len(recording)))
    stop = data.draw(st.integers(start, len(recording)))
    assert np.allclose(recording.read(start, stop), expected[start:stop], atol=1e-7)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_captures_with_headers_and_channels_read_as_if_they_were_not_there(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("headers")
    count, channels = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 3))
    values, expected = stored_values("ci8", count * channels, seed=count)
    starts = sorted(data.draw(st.sets(st.integers(0, count - 1), max_size=4)) | {0})
    headers = data.draw(st.lists(st.integers(0, 9), min_size=len(starts), max_size=len(starts)))
    trailing = data.draw(st.integers(0, 5))
    raw, edges = values.reshape(count, -1), [*starts, count]
    parts = [b"h" * size + raw[edges[n] : edges[n + 1]].tobytes() for n, size in enumerate(headers)]
    captures = [
        {"core:sample_start": start, "core:header_bytes": size, "core:frequency": 1e6 + start}
        for start, size in zip(starts, headers, strict=True)
    ]
    fields = {"captures": captures, "core:num_channels": channels, "core:trailing_bytes": trailing}
    meta = write_meta(folder / "r", b"".join(parts) + b"t" * trailing, "ci8", **fields)
    channel = data.draw(st.integers(0, channels - 1))
    recording = open_recording(meta, channel=channel)
    start = data.draw(st.integers(0, count))
    stop = data.draw(st.integers(start, count))
    wanted = expected.reshape(count, channels)[start:stop, channel]
    assert len(recording) == count
    assert np.allclose(recording.read(start, stop), wanted, atol=1e-7)
    assert [capture.start for capture in recording.captures] == starts


def test_blocks_follow_each_other_without_a_gap(tmp_path):
    values, expected = stored_values("cf32_le", 1000)
    (tmp_path / "s.cf32").write_bytes(values.tobytes())
    blocks = list(open_recording(tmp_path / "s.cf32").blocks(300))
    assert [len(block) for block in blocks] == [300, 300, 300, 100]
    assert np.array_equal(np.concatenate(blocks), expected)


@pytest.mark.parametrize("dtype", ["complex64", "complex128", ">c8"])
def test_complex_arrays_read(tmp_path, dtype):
    samples = stored_values("cf32_le", 40)[1]
    for name, array in {"flat": samples, "row": samples[None]}.items():
        np.save(tmp_path / f"{name}.npy", array.astype(dtype))
        assert np.array_equal(open_recording(tmp_path / f"{name}.npy").read(0, 40), samples)


def test_an_archive_reads_in_place(tmp_path):
    values, expected = stored_values("ci16_le", 700)
    write_meta(tmp_path / "r", values.tobytes(), "ci16_le")
    with tarfile.open(tmp_path / "r.sigmf", "w") as archive:
        for ending in ("meta", "data"):
            archive.add(tmp_path / f"r.sigmf-{ending}", f"r/r.sigmf-{ending}")
    assert np.allclose(open_recording(tmp_path / "r.sigmf").read(100, 700), expected[100:], atol=1e-7)


@pytest.mark.parametrize(("width", "name"), [(1, "cu8"), (2, "ci16_le"), (4, "ci32_le")])
def test_two_channel_wav_is_i_and_q(tmp_path, width, name):
    values, expected = stored_values(name, 123)
    with wave.open(str(tmp_path / "s.wav"), "wb") as file:
        file.setparams((2, width, 48000, 0, "NONE", ""))
        file.writeframes(values.tobytes())
    recording = open_recording(tmp_path / "s.wav")
    assert recording.sample_rate == 48000
    assert np.allclose(recording.read(0, 123), expected, rtol=1e-6, atol=1e-7)


def wav_bytes(body, code=3, bits=32, channels=2, data_size=None, form=b"RIFF", before=b""):
    block = channels * bits // 8
    fmt = b"fmt " + np.array([16], "<u4").tobytes() + np.array([code, channels], "<u2").tobytes()
    fmt += np.array([96000, 96000 * block], "<u4").tobytes() + np.array([block, bits], "<u2").tobytes()
    size = np.array([len(body) if data_size is None else data_size], "<u4").tobytes()
    return form + b"\0\0\0\0WAVE" + before + fmt + b"LIST\x03\0\0\0abc\0" + b"data" + size + body


@pytest.mark.parametrize("data_size", [None, 0, 0xFFFFFFFF])
def test_float_wav_reads_also_when_its_size_was_never_filled_in(tmp_path, data_size):
    values, expected = stored_values("cf32_le", 77)
    (tmp_path / "s.wav").write_bytes(wav_bytes(values.tobytes(), data_size=data_size))
    assert np.array_equal(open_recording(tmp_path / "s.wav").read(0, 77), expected)


def test_rf64_takes_its_size_from_ds64(tmp_path):
    values, expected = stored_values("cf32_le", 77)
    sizes = np.array([0, values.nbytes, 0], "<u8").tobytes() + b"\0\0\0\0"
    before = b"ds64" + np.array([len(sizes)], "<u4").tobytes() + sizes
    content = wav_bytes(values.tobytes(), data_size=0xFFFFFFFF, form=b"RF64", before=before)
    (tmp_path / "s.wav").write_bytes(content + b"junk" + np.array([4], "<u4").tobytes() + b"rest")
    assert np.array_equal(open_recording(tmp_path / "s.wav").read(0, 77), expected)


def test_an_array_is_a_recording():
    samples = stored_values("cf32_le", 40)[1]
    assert np.array_equal(recording_of(samples).read(3, 9), samples[3:9])
    frames = np.stack([samples.real, samples.imag])[None].astype(np.float32)
    assert recording_of(frames).frame_length == 40
    assert np.array_equal(recording_of(frames).read(0, 40), samples)


def test_a_written_recording_is_valid_sigmf_and_reads_back(tmp_path):
    sigmf = pytest.importorskip("sigmf")
    samples = stored_values("cf32_le", 500)[1]
    notes = [Annotation(100, 50, "QPSK", "confidence 0.9", 1e6, 2e6), Annotation(0, 100, "OOK")]
    blocks = [samples[:200], samples[200:]]
    meta = write_sigmf(tmp_path / "signal", blocks, 1e6, frequency=4e8, annotations=notes, description="a test")
    assert meta == tmp_path / "signal.sigmf-meta"
    theirs = sigmf.sigmffile.fromfile(str(meta))  # checks the SHA-512 too
    theirs.validate()
    assert np.array_equal(theirs.read_samples(), samples)
    assert [(one["core:sample_start"], one["core:label"]) for one in theirs.get_annotations()] == [
        (0, "OOK"),
        (100, "QPSK"),
    ]
    ours = open_recording(meta)
    assert np.array_equal(ours.read(0, 500), samples)
    assert (ours.sample_rate, ours.captures[0].frequency) == (1e6, 4e8)


def test_thousands_of_annotations_are_all_written_and_valid(tmp_path):
    sigmf = pytest.importorskip("sigmf")
    notes = [Annotation(4 * k, 4, "QPSK" if k % 2 else "OOK") for k in range(2500)]
    meta = write_sigmf(tmp_path / "signal", np.ones(10_000, np.complex64), 1e6, annotations=notes)
    theirs = sigmf.sigmffile.fromfile(str(meta))
    theirs.validate()
    assert [one["core:sample_start"] for one in theirs.get_annotations()] == list(range(0, 10_000, 4))


@pytest.mark.parametrize("place", [0, 2499])
def test_an_annotation_that_is_not_valid_is_refused(tmp_path, place):
    pytest.importorskip("sigmf")
    notes = [Annotation(4 * k, 4, "OOK") for k in range(2500)]
    notes[place] = Annotation(4 * place, -4, "OOK")
    with pytest.raises(RecordingError, match="valid SigMF"):
        write_sigmf(tmp_path / "signal", np.ones(10_000, np.complex64), 1e6, annotations=notes)
    assert not (tmp_path / "signal.sigmf-meta").exists()


def test_nothing_is_left_when_writing_fails(tmp_path):
    for blocks in ([], [np.zeros(4, np.complex128)], [np.zeros(4, np.complex64), np.zeros((2, 2), np.complex64)]):
        with pytest.raises(RecordingError):
            write_sigmf(tmp_path / "signal", blocks, 1e6)
    assert list(tmp_path.iterdir()) == []


def test_reading_far_into_a_file_touches_no_more_than_the_slice(tmp_path):
    import tracemalloc

    path = tmp_path / "sparse.cf32"
    with path.open("wb") as file:
        file.truncate(8 * 2**30)
    recording = open_recording(path)
    tracemalloc.start()
    assert not recording.read(2**30 - 1000, 2**30).any()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000
