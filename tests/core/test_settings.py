"""Settings are values: one place for a setting's default, its sentence and its check, whoever uses it."""

import dataclasses
import inspect

import pytest

import isomorph as iso
from isomorph._core.settings import Settings
from isomorph.diagnosis import DiagnoseSettings
from isomorph.errors import InputError, UnknownNameError
from isomorph.extraction import ExtractSettings
from isomorph.fusion import FuseSettings
from isomorph.matching import MatchSettings
from isomorph.networks.settings import NetworkSettings
from isomorph.scanning import ScanSettings
from isomorph.significance import PowerSettings
from isomorph.stitching import StitchSettings

VERBS = {
    ScanSettings: iso.scan,
    StitchSettings: iso.stitch,
    FuseSettings: iso.fuse,
    DiagnoseSettings: iso.diagnose,
    NetworkSettings: iso.stitch_networks,
    MatchSettings: iso.blind_match,
    ExtractSettings: iso.extract,
    PowerSettings: iso.power,
}
every = pytest.mark.parametrize("kind", VERBS, ids=lambda k: k.__name__)


@every
def test_every_setting_has_a_sentence_and_is_an_argument_of_its_verb_with_the_same_default(kind):
    arguments = inspect.signature(VERBS[kind]).parameters
    for field in dataclasses.fields(kind):
        assert kind.help()[field.name].endswith("."), field.name
        if field.default is not dataclasses.MISSING:
            assert arguments[field.name].default == field.default, field.name
    assert list(kind.help()) == list(kind.names())


@every
def test_the_key_of_a_result_holds_every_setting(kind):
    settings = kind(cuts="a") if kind is NetworkSettings else kind()
    # a device is said if there is one: results of before there were devices stay current
    assert set(settings.facts()) == set(kind.names()) - {"device"}
    if "device" in kind.names():
        assert dataclasses.replace(settings, device="cpu").facts()["device"] == "cpu"


@every
def test_settings_are_frozen_values(kind):
    first, second = (kind(cuts="a") if kind is NetworkSettings else kind() for _ in range(2))
    assert first.facts() == second.facts()
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.seed = 3


@dataclasses.dataclass(frozen=True)
class Toy(ScanSettings):
    """A scan with one more setting.

    Attributes:
        toy: How often.
    """

    toy: int = 3

    def __post_init__(self):
        super().__post_init__()
        if self.toy < 1:
            raise InputError(f"toy={self.toy}: at least 1 is needed.")


def test_a_new_setting_is_read_checked_and_part_of_the_key_without_being_told_to_anybody():
    assert Toy.read({"toy": 5}, "a.toml, [[scans]]").facts()["toy"] == 5
    assert Toy.read({}, "t").facts() != Toy.read({"toy": 5}, "t").facts()
    with pytest.raises(InputError, match=r"a\.toml, \[\[scans\]\]: toy=0: at least 1 is needed"):
        Toy.read({"toy": 0}, "a.toml, [[scans]]")
    with pytest.raises(InputError, match="toy must be a whole number, found 'often'"):
        Toy.read({"toy": "often"}, "t")
    with pytest.raises(UnknownNameError, match=r"toi.*toy"):
        Toy.read({"toi": 3}, "t")


@pytest.mark.parametrize(
    ("kind", "table", "says"),
    [
        (ScanSettings, {"permutations": "many"}, "permutations must be a whole number, found 'many'"),
        (ScanSettings, {"permutations": 1.5}, "permutations must be a whole number, found 1.5"),
        (ScanSettings, {"permutations": True}, "permutations must be a whole number, found True"),
        (ScanSettings, {"alpha": 2}, "alpha=2"),
        (ScanSettings, {"alpha": "small"}, "alpha must be a number"),
        (ScanSettings, {"budget": [1]}, "budget must be a number"),
        (ScanSettings, {"circular": "no"}, "circular must be true or false"),
        (ScanSettings, {"gallery": [20, "a"]}, r"gallery\[1\] must be a whole number, found 'a'"),
        (ScanSettings, {"metrics": ["nothing"]}, "Unknown metric"),
        (StitchSettings, {"maps": 5}, "maps must be specs"),
        (StitchSettings, {"repeats": 0}, "repeats=0"),
        (StitchSettings, {"by": "week"}, "by='week'"),
        (StitchSettings, {"draws": 10**9}, "draws=1000000000"),
        (FuseSettings, {"heads": []}, "heads is empty"),
        (FuseSettings, {"heads": [3]}, "heads must be specs"),
        (FuseSettings, {"heads": ["concatt"]}, "Unknown head 'concatt'.*'concat'"),
        (FuseSettings, {"by": "week"}, "by='week'"),
        (FuseSettings, {"test_fraction": 1.0}, "test_fraction=1.0"),
        (FuseSettings, {"controls": "no"}, "controls must be true or false"),
        (FuseSettings, {"draws": 5}, "draws=5"),
        (ExtractSettings, {"batch_size": 1.5}, "batch_size must be a whole number"),
        (ExtractSettings, {"memory": "much"}, "memory='much'"),
        (ExtractSettings, {"memory": float("nan")}, "memory=nan"),
        (ExtractSettings, {"memory": -1.0}, "memory=-1.0"),
        (DiagnoseSettings, {"signatures": "all"}, "signatures"),
        (NetworkSettings, {"cuts": 3}, "cuts=3 must hold"),
        (NetworkSettings, {"cuts": "a", "fit": "least"}, "Unknown fit 'least'.*'least_squares'"),
        (NetworkSettings, {"cuts": "a", "fit": []}, "fit is empty"),
        (NetworkSettings, {"cuts": "a", "stitch": "low_rank(rank=0)"}, "rank=0"),
    ],
)
def test_wrong_values_are_named_with_what_was_found(kind, table, says):
    with pytest.raises(InputError, match=says):
        kind.read(table, "here")


def test_a_settings_class_without_sentences_has_no_help():
    class Bare(Settings):
        """Nothing."""

    assert Bare.help() == {}
