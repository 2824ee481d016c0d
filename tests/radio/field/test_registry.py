"""A modulation more in the field profile: one module, one row, and nothing else changes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.class_set import ClassSet
from bacalhaunet.radio.field import registry
from bacalhaunet.radio.field.config import FieldConfig
from bacalhaunet.radio.field.source import Field
from bacalhaunet.radio.modulations import NAMES, RADIOML
from bacalhaunet.radio.profiles import make_source
from bacalhaunet.training.config import DataConfig, TrainConfig
from bacalhaunet.training.run_data import training_data

SEED = 9
EXTENDED = (*NAMES, "4FSK")


@pytest.fixture
def fsk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """4FSK as the page about the field profile adds it: its module, and its row."""
    page = (Path(__file__).parents[3] / "docs" / "field.md").read_text()
    section = page[page.index("## Add a modulation") :]
    module = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    row = re.search(r'```text\n    "(.*?)",\n```', section)
    assert module is not None
    assert row is not None
    (tmp_path / "fsk_of_the_page.py").write_text(module[1])
    monkeypatch.syspath_prepend(tmp_path)
    added = row[1].replace("bacalhaunet.radio.field.fsk", "fsk_of_the_page")
    assert added != row[1]
    monkeypatch.setattr(registry, "TRANSMITTERS", (*registry.TRANSMITTERS, added))


def cells(classes: int, count: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    labels = torch.arange(classes).repeat(count)
    return labels, torch.full((len(labels),), 12.0), torch.arange(len(labels)) // classes


def test_the_default_is_radioml_in_its_order() -> None:
    assert Field().classes == RADIOML


def test_random_numbers_of_radioml_and_noise_have_the_numbers_they_always_had() -> None:
    assert [registry.stream_number(name) for name in (*NAMES, "noise")] == list(range(25))


def test_no_two_modulations_share_random_numbers() -> None:
    numbers = [registry.stream_number(name) % 2**32 for name in {*registry.transmitters(), "4FSK", "2FSK", "OFDM"}]
    assert len(set(numbers)) == len(numbers)


def test_a_modulation_more_changes_no_frame_of_the_others(fsk: None) -> None:
    labels, snrs, index = cells(24)
    before = Field().frames(labels, snrs, index, seed=SEED)
    order = ["4FSK", *reversed(NAMES)]
    places = torch.tensor([order.index(name) for name in NAMES])
    assert torch.equal(Field(classes=order).frames(places[labels], snrs, index, seed=SEED), before)


def test_the_modulation_of_the_page_is_what_it_says(fsk: None) -> None:
    source = Field(FieldConfig.clean(), classes=["4FSK"])
    assert source.classes == ClassSet(("4FSK",), ("FSK",))
    received = source.explained("4FSK", 60, 64, seed=SEED).received
    assert (received.abs() - 1).abs().max() < 1e-3
    turn = torch.angle(received[:, 1:] * received[:, :-1].conj()).flatten().numpy() / (np.pi / 2 / 8)
    # Of the eight samples of a symbol three lie at the change of frequency, if there is one: 1 - 3/4 3/8 = 0.72.
    shares = [np.mean(np.abs(turn - tone) < 0.02) for tone in (-3, -1, 1, 3)]
    assert 0.70 < sum(shares) < 0.75
    assert min(shares) > 0.16


def test_training_data_of_the_extended_class_set_have_25_classes(fsk: None) -> None:
    config = DataConfig(profile="field", classes=EXTENDED, validation_frames_per_cell=1, snr_min_db=-20)
    data = training_data(TrainConfig(data=config, batch_size=25 * 26))
    assert data.classes == ClassSet(EXTENDED, (*RADIOML.group_of, "FSK"))
    for batch in (data.source.batch(0), data.validation[0]):
        assert batch.frames.shape == (650, 2, 1024)
        assert torch.isfinite(batch.frames).all()
        assert torch.bincount(batch.labels).tolist() == [26] * 25


def test_classes_are_the_field_profiles() -> None:
    with pytest.raises(ConfigError, match="field"):
        DataConfig(profile="twin", classes=("QPSK",))


def test_a_class_set_keeps_its_own_groups() -> None:
    classes = ClassSet(("QPSK", "FM"), ("digital", "analog"))
    assert Field(classes=classes).classes == classes


@pytest.mark.parametrize("names", [("QPSK", "5FSK"), ("QPSK", "QPSK")])
def test_classes_that_cannot_be_made_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=names[-1]):
        make_source("field", classes=names)
