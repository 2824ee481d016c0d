import json
import xml.etree.ElementTree as ElementTree

import pytest

pytest.importorskip("optuna")
pytest.importorskip("lightning")

from bacalhaunet.cli.main import main
from bacalhaunet.cli.search_best import commands
from bacalhaunet.cost.of import cost_of
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.search.front import Result
from tests.search.tiny import tiny_search


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    (folder / "tiny.yaml").write_text(tiny_search(trials=2).to_yaml())
    assert main(["search", "run", "--config", str(folder / "tiny.yaml"), "--output", str(folder / "study")]) == 0
    return folder / "study"


def run(capsys, *words):
    code = main(["search", *map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_the_folder_holds_the_resolved_settings_the_study_and_each_trial(searched):
    assert (searched / "study.db").is_file()
    config = (searched / "config.yaml").read_text()
    assert "trials: 2" in config
    assert "depth_multiplier" in config
    for number in range(2):
        assert (searched / "trials" / f"{number:04d}" / "spec.yaml").is_file()


def test_the_same_command_again_runs_nothing_more(searched, capsys):
    code, _, err = run(capsys, "run", "--config", searched / "config.yaml", "--output", searched)
    assert code == 0
    assert "2 trials are done" in err
    assert len(json.loads(run(capsys, "show", searched, "--json")[1])["trials"]) == 2


def test_other_settings_for_the_same_folder_are_refused(searched, capsys):
    code, _, err = run(capsys, "run", "--config", searched / "config.yaml", "--epochs", 3, "--output", searched)
    assert code == 2
    assert "epochs: 3" in err


def test_show_prints_one_document_whose_scores_are_those_of_the_saved_models(searched, capsys):
    code, out, err = run(capsys, "show", searched, "--json")
    document = json.loads(out)
    assert (code, err) == (0, "")
    whole = [trial for trial in document["trials"] if trial["stopped_after"] is None]
    assert whole
    for trial in whole:
        model = searched / "trials" / f"{trial['trial']:04d}" / "model.safetensors"
        assert trial["score"] == cost_of(model).score
    assert set(document["front"]) <= {trial["trial"] for trial in whole}


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_show_draws_the_front_in_either_format(searched, capsys, tmp_path, suffix):
    picture = tmp_path / f"front.{suffix}"
    code, out, _ = run(capsys, "show", searched, "--picture", picture)
    assert code == 0
    assert "accuracy" in out
    if suffix == "svg":
        assert ElementTree.parse(picture).getroot().tag.endswith("svg")
    else:
        assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_picture_of_another_format_is_refused(searched, capsys):
    code, _, err = run(capsys, "show", searched, "--picture", "front.jpg")
    assert code == 2
    assert ".svg or .png" in err


def test_best_writes_a_spec_and_prints_commands_that_can_be_parsed(searched, capsys, tmp_path):
    spec = tmp_path / "best.yaml"
    code, out, err = run(capsys, "best", searched, "-o", spec)
    assert code == 0
    assert "in the search" in err
    number = max(
        (t for t in json.loads(run(capsys, "show", searched, "--json")[1])["trials"] if t["stopped_after"] is None),
        key=lambda trial: trial["accuracy"],
    )["trial"]
    assert NetworkSpec.load(spec) == NetworkSpec.load(searched / "trials" / f"{number:04d}" / "spec.yaml")
    check_commands_parse(out.splitlines())


def check_commands_parse(lines):
    import shlex

    from jsonargparse import ArgumentParser

    from bacalhaunet.cli import prune, train

    assert [line.split()[1] for line in lines] == ["train", "prune"]
    for line, module in zip(lines, (train, prune), strict=True):
        parser = ArgumentParser(exit_on_error=False)
        module.build(parser)
        parser.parse_args(shlex.split(line)[2:])


SET = {
    "optimizer": {"kind": "muon", "schedule": "one-cycle", "learning_rate": 0.01},
    "data": {"file": "gold.hdf5", "profile": "twin", "frames_per_epoch": 20480, "snr_min_db": -6},
    "prune_weight_decay": 2e-4,
}


def test_the_commands_of_best_have_the_optimizer_the_data_and_the_pruning_of_the_search(tmp_path):
    spec = NetworkSpec.load(tiny_spec(tmp_path))
    dense = cost_of(spec).score
    found = commands(Result(1, 0.5, 0.4 * dense, spec, 0.02), SET, tmp_path / "my nets" / "best.yaml")
    for command in found:
        assert command[command.index("--optimizer.kind") + 1] == "muon"
        assert command[command.index("--data") + 1] == "gold.hdf5"
        assert "--data.frames_per_epoch" not in command
        assert "--optimizer.learning_rate" not in command  # as usual
    assert [command[1] for command in found] == ["train", "prune"]
    assert '["0.0002:0.02"]' in found[1]
    by_score = commands(Result(1, 0.5, 0.4 * dense, spec), {**SET, "prune_by": "score"}, tmp_path / "best.yaml")
    assert [command[1] for command in by_score] == ["train", "compress"]
    assert float(by_score[1][by_score[1].index("--target-score") + 1]) == pytest.approx(0.4 * dense, rel=1e-4)
    assert [c[1] for c in commands(Result(1, 0.5, dense, spec), {**SET, "prune_by": "score"}, tmp_path / "b.yaml")] == [
        "train"
    ]


def tiny_spec(folder):
    path = folder / "spec.yaml"
    path.write_text(find_spec("bacalhaunet").quantized(4, 4, sum_bits=4).to_yaml())
    return path


def test_best_refuses_what_no_trial_reached(searched, capsys, tmp_path):
    code, _, err = run(capsys, "best", searched, "--min-accuracy", 1.1, "-o", tmp_path / "best.yaml")
    assert code == 2
    assert "front" in err
    assert not (tmp_path / "best.yaml").exists()


def test_a_folder_without_a_study_and_an_unknown_name_are_refused(searched, capsys, tmp_path):
    assert run(capsys, "show", tmp_path)[0] == 2
    code, _, err = run(capsys, "show", searched, "--study", "other")
    assert code == 2
    assert "study" in err
    assert not (tmp_path / "study.db").exists()


@pytest.mark.parametrize("words", [[], ["run"], ["show"], ["best"]])
def test_help_teaches_by_an_example(capsys, words):
    code, out, _ = run(capsys, *words, "--help")
    assert code == 0
    assert "example" in out
    assert "bacalhaunet search" in out
