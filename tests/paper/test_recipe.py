import json
import shlex
import shutil

import pytest
import yaml

pytest.importorskip("lightning")

from bacalhaunet.cli.main import main
from bacalhaunet.errors import ModelFileError
from bacalhaunet.models.saved import load_model
from bacalhaunet.models.shipped_networks import shipped_networks
from bacalhaunet.report.card import recipe_of, write_recipe


def test_the_recipe_of_a_card_makes_the_same_weights_again(shipped, tmp_path, monkeypatch):
    recipe = json.loads(shipped.read_text())["training"]["recipe"]
    script = write_recipe(recipe, tmp_path)
    monkeypatch.chdir(tmp_path)
    for line in script.read_text().splitlines():
        if line.startswith("bacalhaunet "):
            assert main(shlex.split(line)[1:]) == 0
    again = load_model(tmp_path / "2" / "model.safetensors").network.state_dict()
    before = load_model(shipped.with_suffix(".safetensors")).network.state_dict()
    assert all(bool((again[name] == value).all()) for name, value in before.items())


@pytest.mark.parametrize("name", sorted(shipped_networks()))
def test_every_command_of_a_shipped_recipe_takes_its_settings(name, tmp_path, monkeypatch, capsys):
    script = write_recipe(recipe_of_card(name), tmp_path)
    monkeypatch.chdir(tmp_path)
    commands = [line for line in script.read_text().splitlines() if line.startswith("bacalhaunet ")]
    for line in commands:
        assert main([*shlex.split(line)[1:], *(["--print_config"] if "--config" in line else ["--help"])]) in (0, None)
    assert len(commands) >= len(recipe_of_card(name))


def test_a_network_that_is_start_and_teacher_is_trained_once(tiny_run):
    recipe = recipe_of(tiny_run / "model.safetensors")
    assert [run["command"] for run in recipe] == ["train", "train"]
    assert (recipe[1]["starts_from"], recipe[1]["teacher"]) == (0, 0)
    assert "spec" in recipe[0]


def test_a_shipped_network_that_is_start_and_teacher_of_several_runs_is_made_once(tmp_path):
    network = "accurate"
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        settings = {
            "network": network,
            "distillation": {"teacher": "accurate"},
            "data": {"file": None, "profile": "twin"},
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(settings))
        network = str(folder / "model.safetensors")
    recipe = recipe_of(tmp_path / "second" / "model.safetensors")
    assert len(recipe) == len(recipe_of_card("accurate")) + 2
    first, second = recipe[-2:]
    assert first["starts_from"] == first["teacher"] == second["teacher"]
    assert recipe[second["starts_from"]] is first


def recipe_of_card(name):
    return shipped_networks()[name].card["training"]["recipe"]


def test_without_the_folder_of_a_run_there_is_no_recipe(tiny_run, tmp_path):
    moved = tmp_path / "a" / "b" / "model.safetensors"
    moved.parent.mkdir(parents=True)
    moved.write_bytes((tiny_run / "model.safetensors").read_bytes())
    with pytest.raises(ModelFileError, match="folder of the run"):
        recipe_of(moved)


def test_relative_paths_are_found_from_the_folders_above_the_run(tiny_run, tmp_path, monkeypatch):
    top = tmp_path / "there"
    shutil.copytree(tiny_run.parent, top / "runs")
    settings = top / "runs" / "run" / "config.yaml"
    settings.write_text(settings.read_text().replace(f"{tiny_run.parent}/float", "runs/float"))
    monkeypatch.chdir(tmp_path)
    recipe = recipe_of(top / "runs" / "run" / "model.safetensors")
    assert [run.get("starts_from") for run in recipe] == [None, 0]
    assert recipe[1]["config"]["network"] == "runs/float/model.safetensors"
