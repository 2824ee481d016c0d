"""A log gives back what was written completely, whatever happened to it afterwards."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bacalhaunet.classify.frame_log import FrameLog, file_fingerprint
from bacalhaunet.errors import ConfigError

WORK = {"a": 1}


def blocks(count, seed=0):
    generator = np.random.default_rng(seed)
    return [(generator.standard_normal((5, 3)).astype(np.float32), generator.random(5) < 0.3) for _ in range(count)]


def written(output, kept, fingerprint=WORK):
    with FrameLog(output, fingerprint) as log:
        log.keep_note([1, "x"])
        for logits, silent in kept:
            log.keep_frames(logits, silent)
        return log.path


def given_back(log):
    found = []
    while (block := log.frames(3)) is not None:
        found.append(block)
    return found


def test_notes_and_frames_come_back_in_their_order(tmp_path):
    kept = blocks(4)
    written(tmp_path / "out.csv", kept)
    with FrameLog(tmp_path / "out.csv", WORK) as log:
        assert (log.resumed, log.replaced) == (True, False)
        assert log.note() == [1, "x"]
        for (logits, silent), (their_logits, their_silent) in zip(given_back(log), kept, strict=True):
            assert np.array_equal(logits, their_logits)
            assert np.array_equal(silent, their_silent)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_log_that_was_cut_or_damaged_gives_a_beginning_of_what_was_kept_and_takes_the_rest(tmp_path_factory, data):
    output, kept = tmp_path_factory.mktemp("log") / "out.csv", blocks(4)
    path = written(output, kept)
    content = bytearray(path.read_bytes())
    first = content.index(b"\n") + 1
    content = content[: data.draw(st.integers(first, len(content)))]
    if data.draw(st.booleans()) and len(content) > first:
        content[data.draw(st.integers(first, len(content) - 1))] ^= 0xFF
    path.write_bytes(content)
    with FrameLog(output, WORK) as log:
        found = given_back(log) if log.note() is not None else log.keep_note([1, "x"]) or []
        assert all(np.array_equal(a[0], b[0]) for a, b in zip(found, kept, strict=False))
        for logits, silent in kept[len(found) :]:
            log.keep_frames(logits, silent)
    with FrameLog(output, WORK) as log:
        assert log.note() == [1, "x"]
        assert len(given_back(log)) == 4
        assert path.read_bytes() == written(output.with_name("other.csv"), kept).read_bytes()


def test_a_log_of_other_work_is_begun_anew(tmp_path):
    written(tmp_path / "out.csv", blocks(2))
    with FrameLog(tmp_path / "out.csv", {"a": 2}) as log:
        assert (log.resumed, log.replaced) == (False, True)
        assert log.note() is None
    with FrameLog(tmp_path / "out.csv", {"a": 2}) as log:
        assert (log.note(), log.frames(3)) == (None, None)


def test_what_a_killed_run_had_written_of_the_output_is_deleted(tmp_path):
    (tmp_path / ".out.4711.part.csv").write_text("half")
    (tmp_path / ".other.4711.part.csv").write_text("of another run")
    written(tmp_path / "out.csv", [])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.4711.part.csv", ".out.csv.progress"]


def test_two_runs_cannot_write_one_output(tmp_path):
    pytest.importorskip("fcntl", reason="needs a system with file locks")
    with FrameLog(tmp_path / "out.csv", WORK), pytest.raises(ConfigError, match="another run"):
        FrameLog(tmp_path / "out.csv", WORK).__enter__()


def test_what_a_run_beside_it_is_writing_stays(tmp_path):
    other, own = tmp_path / ".out.v2.4711.part.csv", tmp_path / ".out.4711.part.csv"
    other.touch()
    own.touch()
    with FrameLog(tmp_path / "out.csv", WORK):
        assert other.exists()
        assert not own.exists()


def test_any_change_of_a_files_ends_changes_its_fingerprint(tmp_path):
    path = tmp_path / "x"
    seen = []
    for content in (b"", b"a", b"b", b"a" * 200_000, b"a" * 199_999 + b"b", b"b" + b"a" * 199_999):
        path.write_bytes(content)
        fingerprint = file_fingerprint(path)
        seen.append((fingerprint["size"], fingerprint["check"]))
    assert len(set(seen)) == len(seen)
