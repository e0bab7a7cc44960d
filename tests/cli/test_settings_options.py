"""Commands take every setting of their verb as an option, made from the settings value."""

import dataclasses
from importlib import import_module

import numpy as np
import pytest
from typer.testing import CliRunner

import isomorph as iso
from isomorph.atlases import AtlasSettings
from isomorph.cli import COMMANDS, app
from isomorph.concept_maps import ConceptSettings
from isomorph.diagnosis import DiagnoseSettings
from isomorph.extraction import ExtractSettings
from isomorph.fusion import FuseSettings
from isomorph.matching import MatchSettings
from isomorph.migration import MigrationSettings
from isomorph.model_comparison import ModelComparisonSettings
from isomorph.networks import NetworkSettings
from isomorph.output_agreement import OutputsSettings
from isomorph.rdm_models import ExplainSettings, SearchlightSettings
from isomorph.scanning import ScanSettings
from isomorph.significance import PowerSettings
from isomorph.stitching import StitchSettings

SETTINGS = {
    "scan": ScanSettings,
    "stitch": StitchSettings,
    "stitch-networks": NetworkSettings,
    "fuse": FuseSettings,
    "atlas": AtlasSettings,
    "concepts": ConceptSettings,
    "match": MatchSettings,
    "fit-map": MigrationSettings,
    "explain-rdms": ExplainSettings,
    "searchlight": SearchlightSettings,
    "compare-models": ModelComparisonSettings,
    "outputs": OutputsSettings,
    "diagnose": DiagnoseSettings,
    "extract": ExtractSettings,
    "power": PowerSettings,
}
SPELLED = {
    "metrics": "metric",
    "maps": "map",
    "within": "in-order",
    "signatures": "signature",
    "purposes": "purpose",
    "cuts": "cut",
    "heads": "head",
}


def run(*args):
    return CliRunner().invoke(app, list(map(str, args)))


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    z = rng.normal(size=(40, 3))
    for name in ("x", "y", "twin"):
        np.savez(tmp_path / f"{name}.npz", a=z + rng.normal(size=z.shape), b=z + 2 * rng.normal(size=z.shape))
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_the_list_of_commands_says_what_each_says_of_itself_and_its_help_shows_an_example(command):
    doc = import_module(f"isomorph.cli.{command.replace('-', '_')}").command.__doc__
    assert doc.split("\n")[0].strip() == COMMANDS[command]
    shown = run(command, "--help")
    assert shown.exit_code == 0
    assert f"Example: isomorph {command}" in " ".join(shown.output.split())


@pytest.mark.parametrize("command", SETTINGS)
def test_every_setting_is_an_option(command):
    shown = run(command, "--help").output
    for field in dataclasses.fields(SETTINGS[command]):
        name = SPELLED.get(field.name, ("no-" if field.default is True else "") + field.name.replace("_", "-"))
        assert f"--{name}" in shown, field.name


def test_options_reach_the_result(files):
    made = run("scan", "x.npz", "y.npz", "-m", "cka", "--permutations", 39, "--alpha", 0.1, "--no-intervals",
               "--neighbors", 0, "--gallery", "--x-baseline", "twin=twin.npz", "--to", "s.json")  # fmt: skip
    assert made.exit_code == 0, made.output
    found = iso.load_result("s.json")
    assert found["cka"].interval is None
    assert found["cka"].alpha == 0.1
    assert found["cka"].gallery is not None
    assert found.neighborhoods is None
    assert list(found.baselines) == ["twin x"]


def test_options_of_a_stitch_reach_the_result(files):
    made = run("stitch", "x.npz", "y.npz", "--map", "ridge", "--repeats", 2, "--permutations", 3, "--draws", 100,
               "--no-curves", "--test-fraction", 0.4, "--y-ceiling", "twin=twin.npz", "--to", "t.json")  # fmt: skip
    assert made.exit_code == 0, made.output
    found = iso.load_result("t.json")
    assert (found.permutations, len(found.n_test), found.test_fraction) == (3, 2, 0.4)
    assert found.gallery_curves == ()
    assert "twin y" in found["ridge"].ceilings


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("scan", "x.npz", "y.npz", "--alpha", "2"), "--alpha 2"),
        (("scan", "x.npz", "y.npz", "--memory", "much"), "--memory 'much'"),
        (("stitch", "x.npz", "y.npz", "--by", "week"), "--by 'week'"),
        (("diagnose", "x.npz", "y.npz", "--signature", "nothing"), "nothing"),
    ],
)
def test_wrong_settings_are_one_paragraph(files, args, says):
    made = run(*args)
    assert isinstance(made.exception, iso.InputError)
    assert says in str(made.exception)
    assert not (files / "scan.json").exists()
