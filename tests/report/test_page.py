"""The page: complete, self-contained, valid, escaped, and left out where nothing was measured."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from bacalhaunet.cli.main import main
from bacalhaunet.errors import ConfigError
from bacalhaunet.report.page import render_page, write_report
from bacalhaunet.report.run import load_run
from bacalhaunet.report.run_record import RunRecord, StepRecord

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Outline(HTMLParser):
    """Collects ids, attributes and texts, and checks that every element is closed in order."""

    def __init__(self, page):
        super().__init__()
        self.open, self.ids, self.attributes, self.words = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self._note(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self._note(tag, attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.words.append(" ".join(data.split()))

    def _note(self, tag, attrs):
        for name, value in attrs:
            self.attributes.append((tag, name, value or ""))
            if name == "id":
                self.ids.append(value)

    @property
    def text(self):
        return " ".join(word for word in self.words if word).replace("\u202f", " ")


@pytest.fixture(scope="module")
def page(untouched_run):
    return render_page(load_run(untouched_run.folder))


def test_the_page_shows_what_the_run_measured_beside_the_paper(page, untouched_run):
    text = Outline(page).text
    last = untouched_run.evaluations[-1]
    for expected in (
        f"{100 * last.accuracy:.2f} %",
        f"{100 * last.interval[0]:.2f} to {100 * last.interval[1]:.2f} %",
        "56.24 %",
        "0.016211",
        "19 242 864",
        "3rd prune",
        "blocks.1.pointwise reads a sum that no quantizer made",
        "one frame whose top two logits tie",
        "QPSK",
        "weight: 6",
        "12 480 frames",
        "the twin, a generator made to match RadioML 2018.01A",
        "bacalhaunet reproduce --budget quick",
    ):
        assert expected in text, expected


def test_every_accuracy_stands_with_its_interval(page, untouched_run):
    text = Outline(page).text
    for evaluation in untouched_run.evaluations:
        low, high = evaluation.interval
        assert f"{100 * evaluation.accuracy:.2f} % {100 * low:.2f}–{100 * high:.2f}" in text


def test_nothing_comes_from_elsewhere(page):
    outline = Outline(page)
    namespaces = {"xmlns", "xmlns:xlink"}
    for tag, name, value in outline.attributes:
        assert tag not in {"script", "link", "iframe", "object", "embed", "img"}
        assert not name.startswith("on"), (tag, name)
        if name not in namespaces:
            assert "//" not in value, (tag, name, value)
        if name in {"href", "xlink:href", "src"}:
            assert value.startswith("#"), (tag, name, value)
    assert "@import" not in page
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))


def test_ids_are_unique_and_every_reference_finds_one(page):
    outline = Outline(page)
    assert len(outline.ids) == len(set(outline.ids))
    used = set(re.findall(r"url\(#([^)]*)\)", page)) | {
        value[1:] for _, name, value in outline.attributes if name == "xlink:href"
    }
    assert used
    assert used <= set(outline.ids)


def test_the_same_run_gives_the_same_bytes(page, untouched_run):
    assert render_page(load_run(untouched_run.folder)) == page


def test_every_text_of_a_run_is_escaped(synthetic_run):
    evil = "<script>alert(1)</script>\"'&\\1"
    record = synthetic_run.record
    steps = tuple(replace(step, title=f"{evil}{index}"[:24]) for index, step in enumerate(record.steps))
    steps = (replace(steps[0], slug=evil), *steps[1:])
    replace(
        record,
        name=evil,
        created=evil,
        command=evil,
        data=evil,
        protocol={evil: evil},
        steps=steps,
        parity=(replace(record.parity[0], engines=(evil, "b"), explanation=evil),),
        classification={evil: [evil, {evil: evil}]},
    ).write(synthetic_run.folder)
    (synthetic_run.folder / "config.yaml").write_text(evil)
    cost = json.loads((synthetic_run.folder / "prune-3/cost.json").read_text())
    cost["layers"][0]["name"] = cost["findings"][0] = evil
    cost["unsupported"] = [evil]
    (synthetic_run.folder / "prune-3/cost.json").write_text(json.dumps(cost))
    evaluation = json.loads((synthetic_run.folder / "prune-3/evaluation.json").read_text())
    evaluation["accuracy_by_modulation"] = {
        (evil if name == "OOK" else name): value for name, value in evaluation["accuracy_by_modulation"].items()
    }
    (synthetic_run.folder / "prune-3/evaluation.json").write_text(json.dumps(evaluation))
    page = render_page(load_run(synthetic_run.folder))
    assert "<script" not in page
    assert Outline(page).text.count("<script>alert(1)") >= 12


def test_a_run_that_measured_nothing_still_has_a_page(tmp_path):
    RunRecord("empty", "2026-11-23", "bacalhaunet train", "file").write(tmp_path)
    text = Outline(render_page(load_run(tmp_path))).text
    assert "empty" in text
    for absent in ("Accuracy over SNR", "Confusions", "Where the score comes from", "engines agree", "nan", "None"):
        assert absent not in text


@pytest.mark.parametrize("kept", ["evaluation", "cost"])
def test_a_step_with_only_one_measurement_is_shown(synthetic_run, kept):
    bare = StepRecord("a", "only step", "train", **{kept: getattr(synthetic_run.record.steps[0], kept)})
    replace(synthetic_run.record, steps=(bare,), curve=()).write(synthetic_run.folder)
    text = Outline(render_page(load_run(synthetic_run.folder))).text
    assert ("Accuracy over SNR" in text) == (kept == "evaluation")
    assert ("Where the score comes from" in text) == (kept == "cost")
    assert "Learning curve" not in text


def test_confusions_at_chosen_snrs_are_drawn_where_kept(synthetic_run):
    path = synthetic_run.folder / "prune-3/evaluation.json"
    values = json.loads(path.read_text())
    values["confusion_by_snr"] = {
        str(snr): synthetic_run.evaluations[-1].confusion_at(snr).tolist() for snr in (-20, 4, 30)
    }
    path.write_text(json.dumps(values))
    page = render_page(load_run(synthetic_run.folder))
    assert page.count("Confusion matrix, ") == 3


def test_the_command_writes_the_page_where_it_is_told(synthetic_run, tmp_path, capsys):
    assert main(["report", str(synthetic_run.folder)]) == 0
    assert main(["report", str(synthetic_run.folder), "-o", str(tmp_path / "out" / "page.html")]) == 0
    first = synthetic_run.folder / "report.html"
    assert capsys.readouterr().out.split() == [str(first), str(tmp_path / "out" / "page.html")]
    assert first.read_bytes() == (tmp_path / "out" / "page.html").read_bytes()


def test_a_damaged_run_ends_with_code_2_and_keeps_the_old_page(synthetic_run, capsys):
    output = write_report(synthetic_run.folder)
    before = output.read_bytes()
    (synthetic_run.folder / "prune-2/cost.json").write_text("{")
    assert main(["report", str(synthetic_run.folder)]) == 2
    assert "prune-2/cost.json" in capsys.readouterr().err
    assert output.read_bytes() == before
    assert not list(synthetic_run.folder.glob(".*"))


def test_without_the_packages_of_the_extra_one_line_says_what_to_install(synthetic_run, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    for name in ("bacalhaunet.report.page", "bacalhaunet.cli.report"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert main(["report", str(synthetic_run.folder)]) == 2
    assert "pip install -c constraints.txt '.[train]'" in capsys.readouterr().err


def test_a_missing_measurement_is_named(synthetic_run):
    (synthetic_run.folder / "train/evaluation.json").unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_run(synthetic_run.folder)
