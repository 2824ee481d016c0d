"""Trainings are done once, go on where they stopped, and are measured on frames nothing was chosen on."""

from dataclasses import replace

import pytest
import torch

from bacalhaunet.data.generate import Generation, generate_file
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.catalog import separable_network
from bacalhaunet.models.saved import load_model
from bacalhaunet_paper.budgets import Setting
from bacalhaunet_paper.frames import Frames
from bacalhaunet_paper.jobs import Job, Jobs, accuracy_on, try_train

SMALL = separable_network((9, 9), (4, 4), (8, 8))
SIX_BITS = SMALL.quantized(6, 6, sum_bits=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture
def jobs(tiny, folder):
    return Jobs(tiny, folder)


@pytest.fixture
def trained(jobs):
    return jobs.train(Job("small", SMALL))


def test_a_job_that_is_done_is_read_back_and_not_done_again(tiny, folder, trained, monkeypatch):
    monkeypatch.setattr("bacalhaunet_paper.jobs.fit", None)
    assert Jobs(tiny, folder).train(Job("small", SMALL)) == trained


def test_jobs_that_differ_in_anything_have_different_names():
    job = Job("small", SMALL)
    others = [
        replace(job, spec=SIX_BITS),
        replace(job, start="x"),
        replace(job, weight_decay=1e-4),
        replace(job, min_abs_weight=0.0),
        replace(job, scale_penalty=1e-4),
        replace(job, kind="tune"),
    ]
    assert len({job.name, *(other.name for other in others)}) == 7
    assert Job("small", SMALL).name == job.name


def test_a_job_stopped_in_the_middle_ends_as_if_it_had_not_been(tiny, tmp_path, trained, folder, monkeypatch):
    monkeypatch.setattr(Jobs, "_config", _often_saved(Jobs._config))
    stopping = Jobs(tiny, tmp_path)
    whole = stopping.frames.training

    def training(config):
        data = whole(config)
        return replace(data, source=_StopsAt(data.source, 6))

    stopping.frames.training = training
    with pytest.raises(KeyboardInterrupt):
        stopping.train(Job("small", SMALL))
    assert not list(tmp_path.glob("stages/*/done.json"))
    assert list(tmp_path.glob("stages/*/last.ckpt"))
    resumed = Jobs(tiny, tmp_path).train(Job("small", SMALL))
    assert resumed == trained
    expected = load_model(folder / trained.model).network.state_dict()
    found = load_model(tmp_path / resumed.model).network.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def _often_saved(given):
    return lambda self, job: replace(given(self, job), checkpoint_every_steps=2)


class _StopsAt:
    def __init__(self, source, number):
        self.source, self.number = source, number

    def batch(self, number):
        if number == self.number:
            raise KeyboardInterrupt
        return self.source.batch(number)


def test_a_measurement_counts_every_test_frame_and_is_what_the_networks_give(jobs, trained, monkeypatch):
    monkeypatch.setattr("bacalhaunet_paper.jobs.PART_BATCHES", 1)
    monkeypatch.setattr("bacalhaunet_paper.frames.BATCH", 250)
    found = jobs.measure("a-table", {"small": trained, "again": trained})
    network = load_model(jobs.folder / trained.model).network
    assert found["small"] == found["again"]
    assert found["small"]["frames"] == 24 * 26
    assert len(found["small"]["accuracy_by_snr"]) == 26
    assert found["small"]["accuracy"] == pytest.approx(accuracy_on(network, [make() for make in jobs.frames.test()]))
    low, high = found["small"]["interval"]
    assert low < found["small"]["accuracy"] < high
    assert len(list(jobs.folder.glob("stages/measure-a-table-*/part-*/done.json"))) == 3


def test_test_validation_and_training_frames_are_different_frames(jobs):
    first = [jobs.frames.test()[0]().frames, jobs.frames.validation[0].frames, jobs.frames.calibration(64)]
    rows = [{row.numpy().tobytes() for row in frames} for frames in first]
    assert not rows[0] & rows[1]
    assert not rows[0] & rows[2]
    assert not rows[1] & rows[2]


def test_rounding_keeps_weights_and_sets_thresholds_without_training(jobs, trained):
    rounded = jobs.rounded("small-8-bits", trained, SMALL.quantized(8, 8, sum_bits=8))
    assert rounded.frames_seen == trained.frames_seen
    assert rounded.score < trained.score / 4
    before = load_model(jobs.folder / trained.model).network.state_dict()
    after = load_model(jobs.folder / rounded.model).network.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert rounded.validation_accuracy == pytest.approx(trained.validation_accuracy, abs=0.05)


def test_pruning_starts_from_a_network_keeps_zeros_and_counts_its_frames(jobs):
    start = jobs.train(Job("six-bits", SIX_BITS))
    pruned = jobs.train(Job("pruned", SIX_BITS, start.model, 5e-5, 0.1, kind="tune"))
    assert pruned.density < 1
    assert pruned.score < start.score
    assert pruned.frames_seen == start.frames_seen + 256


def test_bits_go_on_from_a_float_network_on_frames_of_their_own(jobs):
    start = jobs.train(Job("float", SMALL, kind="float"))
    further = [Job("float-on", SMALL, start.model, kind="bits"), Job("six-on", SIX_BITS, start.model, kind="bits")]
    for job, trained in zip(further, map(jobs.train, further), strict=True):
        assert load_model(jobs.folder / trained.model).spec == job.spec
        assert (start.frames_seen, trained.frames_seen) == (384, 384 + 192)
    seeds = {jobs._config(job).seed for job in further}
    assert seeds == {jobs._config(Job("float", SMALL, kind="float")).seed + 1}


def test_an_epsilon_that_removes_a_layer_is_no_network_rather_than_the_end(jobs):
    start = jobs.train(Job("six-bits", SIX_BITS))
    assert try_train(jobs, Job("pruned", SIX_BITS, start.model, 5e-5, 1e3, kind="tune")) is None


def test_slimming_leaves_fewer_channels_that_can_be_tuned(jobs):
    wide = jobs.train(Job("wide", SIX_BITS, scale_penalty=1e-3))
    narrow = jobs.slimmed("narrow", wide, 0.5)
    spec = load_model(jobs.folder / narrow.model).spec
    assert sum(block.channels for block in spec.blocks) == 8
    tuned = jobs.train(Job("tuned", spec, narrow.model, kind="tune"))
    assert tuned.score < wide.score


def test_a_folder_of_another_setting_is_refused(tiny, folder):
    with pytest.raises(ConfigError, match="seed was 1 and is 2"):
        Jobs(replace(tiny, seed=2), folder)


def test_a_file_gives_parts_of_the_prescribed_split(tiny, tmp_path):
    path = tmp_path / "small.hdf5"
    generate_file(path, Generation(12, 1))
    frames = Frames(Setting(tiny.budget, path))
    parts = {
        "test": [make() for make in frames.test()],
        "validation": frames.validation,
    }
    counts = {name: sum(len(batch.labels) for batch in batches) for name, batches in parts.items()}
    assert counts == {"test": 24 * 26, "validation": 24 * 26}
    assert frames.cell(3, 30).shape == (4, 2, 1024)
    seen = [{row.numpy().tobytes() for batch in batches for row in batch.frames} for batches in parts.values()]
    assert not seen[0] & seen[1]
