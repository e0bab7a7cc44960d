"""The example of the 92 pictures, on a folder laid out like theirs, with statistics in place of the models."""

import re
from pathlib import Path

import numpy as np
from scipy.io import savemat
from scipy.spatial.distance import pdist, squareform
from typer.testing import CliRunner

import isomorph as iso
from isomorph.cli import app
from isomorph.datasets.kriegeskorte92 import FILE, Kriegeskorte92

N = 30
EXAMPLE = Path(__file__).parents[2] / "examples" / "brain.toml"


def structs(shape: tuple[int, ...], rdms: list[np.ndarray], names: list[str]) -> np.ndarray:
    out = np.empty(shape, dtype=[("RDM", object), ("name", object)])
    for place, rdm, name in zip(np.ndindex(shape), rdms, names, strict=True):
        out[place]["RDM"], out[place]["name"] = rdm, name
    return out


def folder(root: Path) -> np.ndarray:
    """The three files, with brains that see one planted space."""
    from isomorph._core.matlab5 import read_matlab5

    data = root / "92imageData"
    data.mkdir()
    made = read_matlab5(Path(Kriegeskorte92.example(root, N).path))
    pictures = np.empty((1, N), dtype=[("image", object)])
    for k, picture in enumerate(made["stimuli_92objs"].fields["image"]):
        pictures[0, k]["image"] = picture
    rng = np.random.default_rng(0)
    space = rng.normal(size=(N, 6))
    seen = [pdist(space + rng.normal(size=space.shape)) for _ in range(10)]
    held = {
        "stimuli_92objs": pictures,
        "categoryVectors": made["categoryVectors"],
        "RDMs_mIT_hIT_fig1": structs((1, 2), [seen[8][None], seen[9][None]], ["monkey", "human"]),
    }
    savemat(data / FILE, held, do_compression=True)
    names = [f"hIT | S{s} | {run}" for s in range(4) for run in ("am", "pm")]
    savemat(data / "92_brainRDMs.mat", {"RDMs": structs((1, 4, 2), [squareform(v) for v in seen[:8]], names)})
    return np.array(seen)


def test_the_example_runs_on_a_folder_of_that_layout(tmp_path: Path, monkeypatch) -> None:
    seen = folder(tmp_path)
    text = re.sub(
        r'model = "bundled:[^"]*"\nuntrained = true\ninputs = true', 'model = "statistics:image"', EXAMPLE.read_text()
    )
    assert "bundled" not in text.partition("[sides")[2]
    (tmp_path / "brain.toml").write_text(text.replace("permutations = 1000", "permutations = 49"))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["run", "brain.toml"])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "runs" / "brain" / "report.html").read_text()
    assert "human-it × monkey-it" in page
    assert "overview-ceiling" in page or "noise ceiling" in page
    both = next(iter(iso.Scan.load(tmp_path / "runs" / "brain" / "scan-human-it-monkey-it.json").values()))
    assert both.x_layers == ("S0", "S1", "S2", "S3")
    assert both.noise_ceilings["x"]["subjects"] == 4
    from scipy.stats import spearmanr

    first = spearmanr(seen[:2].mean(axis=0), seen[8]).statistic  # both sessions of a person, and the monkey
    np.testing.assert_allclose(both.values[0, 0], first, atol=1e-9)
