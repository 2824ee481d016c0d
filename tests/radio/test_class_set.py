"""Classes: names, order and groups belong together, and RadioML's 24 stay what they are."""

import sys
import types
from pathlib import Path

import pytest

from bacalhaunet.errors import ConfigError
from bacalhaunet.radio import modulations
from bacalhaunet.radio.class_set import ClassSet
from bacalhaunet.radio.modulations import MODULATIONS, RADIOML, classes_named


def test_classes_survive_json():
    classes = ClassSet(("a", "b", "c"), ("x", "y", "x"))
    assert ClassSet.from_dict(classes.to_dict()) == classes
    assert classes.groups == ("x", "y")
    assert classes.index("c") == 2


@pytest.mark.parametrize(("names", "groups"), [((), ()), (("a", "a"), ()), (("a", ""), ()), (("a", "b"), ("x",))])
def test_classes_that_make_no_sense_are_refused(names, groups):
    with pytest.raises(ConfigError):
        ClassSet(names, groups)


def test_radioml_has_24_classes_and_a_group_for_each():
    assert len(RADIOML) == 24
    assert (*RADIOML.names[:2], RADIOML.names[-1]) == ("OOK", "4ASK", "OQPSK")
    assert RADIOML.groups == ("ASK", "PSK", "QAM/APSK", "SSB", "AM", "FM", "GMSK")
    assert all(MODULATIONS[label].name == name for label, name in enumerate(RADIOML.names))


def test_another_row_of_modulations_is_no_class_of_radioml():
    source = Path(modulations.__file__).read_text(encoding="utf-8")
    last = '    ("OQPSK", Family.PSK, 4),\n'
    longer = types.ModuleType("modulations_with_one_more")
    sys.modules[longer.__name__] = longer
    try:
        exec(source.replace(last, last + '    ("LoRa", Family.FM, None),\n'), longer.__dict__)
        assert len(longer.MODULATIONS) == 25
        assert longer.RADIOML == RADIOML
    finally:
        del sys.modules[longer.__name__]


def test_known_names_have_their_groups():
    assert classes_named(["LoRa", "8PSK"]).group_of == ("LoRa", "PSK")
    assert classes_named(["LoRa", "8PSK"], ["CSS", "mine"]).group_of == ("CSS", "mine")
