import copy
import itertools
import subprocess
import sys

import numpy as np
import pytest

from isomorph import show_progress
from isomorph.errors import InputError, UnknownNameError
from isomorph.results import CutStitch, NetworkStitch, load_result

torch = pytest.importorskip("torch", reason="torch is not installed")

from isomorph.networks import stitch_networks  # noqa: E402  # after the skip
from isomorph.networks._controls import untrained_twin  # noqa: E402
from isomorph.networks._stitches import Form, RowMoments, read_fits, read_form, solve  # noqa: E402

nn = torch.nn
QUIET = {"show": False}


@pytest.fixture(autouse=True)
def _one_thread_and_seed():
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def mlp(widths=(6, 16, 16), classes=4, seed=0):
    """Linear layers with an in-place ReLU after each: fc1, act1, fc2, act2, head."""
    torch.manual_seed(seed)
    net = nn.Sequential()
    for i, (a, b) in enumerate(itertools.pairwise(widths), 1):
        net.add_module(f"fc{i}", nn.Linear(a, b))
        net.add_module(f"act{i}", nn.ReLU(inplace=True))
    net.add_module("head", nn.Linear(widths[-1], classes))
    return net


def labelled(net, n=300, d=6):
    """Inputs with the classes that the network itself gives them: it is always right, and says all classes."""
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = net(x)
        net.head.bias -= logits.mean(0)
        net.head.weight /= logits.std(0)[:, None]
        net.head.bias /= logits.std(0)
        return x, net(x).argmax(1)


def rotated(net, seed=3):
    """The same function with the layer fc1 in other coordinates, undone by the next layer: no ReLU between."""
    q = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(seed)))[0]
    twin = copy.deepcopy(net)
    twin.fc1.weight.data, twin.fc1.bias.data = q @ net.fc1.weight.data, q @ net.fc1.bias.data
    return twin


# ---- what a fitted stitch finds ----------------------------------------------------------------------------------


def test_a_rotated_layer_is_undone_by_least_squares_and_by_the_orthogonal_stitch_but_not_by_the_identity():
    top = mlp()
    x, y = labelled(top)
    r = stitch_networks(
        rotated(top), top, x, labels=y, cuts="fc1", fit=["identity", "least_squares", "orthogonal"], **QUIET
    )
    for fit in ("least_squares", "orthogonal"):
        assert r.at("fc1", fit=fit).accuracy == 1.0
        assert r.at("fc1", fit=fit).r2 == pytest.approx(1.0, abs=1e-9)
        assert r.at("fc1", fit=fit).penalty == 0
    assert r.at("fc1", fit="identity").accuracy < 0.8
    assert r.at("fc1", fit="identity").r2 < 0


def test_stitching_a_network_into_itself_by_the_identity_changes_nothing_even_where_a_later_layer_works_in_place():
    net = mlp()
    x, y = labelled(net)
    for layer in ("fc1", "act1", "fc2"):
        cut = stitch_networks(net, net, x, labels=y, cuts=layer, fit="identity", **QUIET).at(layer)
        assert (cut.accuracy, cut.r2, cut.relative_accuracy) == (1.0, 1.0, 1.0)


def test_the_switch_for_all_progress_is_heard():
    told, net = [], mlp()
    x, y = labelled(net)
    with show_progress(lambda done, total: told.append((done, total))):
        stitch_networks(net, net, x, labels=y, cuts="fc1", fit="identity")
    assert told
    assert told[-1][0] == told[-1][1]


def test_permuted_pairs_and_permuted_labels_leave_a_stitch_at_chance():
    top = mlp()
    x, y = labelled(top, 600)
    r = stitch_networks(
        top, top, x, labels=y, cuts="fc1", fit=["least_squares", "task(epochs=10, learning_rate=0.01)"], **QUIET
    )
    for cut in r.cuts:
        assert cut.accuracy > r.chance + 0.3
        assert cut.controls["permuted"]["accuracy"] < r.chance + 0.1
    assert (
        "permuted" not in stitch_networks(top, top, x, labels=y, cuts="fc1", fit="identity", **QUIET).cuts[0].controls
    )


def test_closed_forms_agree_with_numpy_on_rows_with_a_large_offset():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 5)) + 1e4, rng.normal(size=(200, 7))
    y[:, :5] += x
    parts = [(torch.from_numpy(x[i : i + 33]), torch.from_numpy(y[i : i + 33])) for i in range(0, 200, 33)]
    m = RowMoments.of(parts, "cut")
    xc, yc = x - x.mean(0), y - y.mean(0)
    coef = np.linalg.lstsq(xc, yc, rcond=None)[0]
    (got,), bias = solve("least_squares", Form("linear"), m, "cut")
    np.testing.assert_allclose(got, coef, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(bias, y.mean(0) - x.mean(0) @ coef, rtol=1e-6, atol=1e-4)
    u, _, vt = np.linalg.svd(xc.T @ yc, full_matrices=False)
    a, b = solve("orthogonal", Form("linear"), m, "cut")[0]
    np.testing.assert_allclose(a @ b, u @ vt, atol=1e-8)
    # reduced-rank regression: the fitted values projected on their leading right singular vectors
    right = np.linalg.svd(xc @ coef, full_matrices=False)[2][:2]
    a, b = solve("least_squares", Form("low_rank", 2), m, "cut")[0]
    assert a.shape == (5, 2)
    np.testing.assert_allclose(a @ b, coef @ right.T @ right, atol=1e-6)


def test_a_bottleneck_costs_and_its_cost_shows_in_the_self_stitch():
    net = mlp(classes=8)
    x, y = labelled(net, 600)
    full = stitch_networks(net, net, x, labels=y, cuts="fc1", stitch="low_rank(rank=6)", **QUIET).cuts[0]
    thin = stitch_networks(net, net, x, labels=y, cuts="fc1", stitch="low_rank(rank=1)", **QUIET).cuts[0]
    assert full.controls["self_stitch"]["r2"] == pytest.approx(1.0, abs=1e-9)  # fc1 of 6 inputs has rank 6
    assert thin.controls["self_stitch"]["accuracy"] < 0.9
    assert thin.r2 < 0.9
    trained = "task(epochs=1, learning_rate=1e-5, init='least_squares')"  # hardly moves from its start
    start = stitch_networks(net, net, x, labels=y, cuts="fc1", stitch="low_rank(rank=6)", fit=trained, **QUIET).cuts[0]
    assert start.accuracy > 0.97


def test_networks_of_different_width_are_joined_and_the_identity_is_refused_there():
    top, bottom = mlp(), mlp((6, 24, 9), seed=5)
    x, y = labelled(top)
    cuts = [("fc1", "fc1"), ("fc1", "fc2")]
    r = stitch_networks(bottom, top, x, labels=y, cuts=cuts, fit=["least_squares", "orthogonal"], **QUIET)
    assert r.cuts[0].widths == (24, 16)
    assert r.at("fc1", fit="least_squares").r2 == pytest.approx(1.0, abs=1e-6)  # both are linear in the same six inputs
    with pytest.raises(InputError, match="widths 24 and 16"):
        stitch_networks(bottom, top, x, labels=y, cuts=cuts, fit="identity", **QUIET)


# ---- networks are left as they were ------------------------------------------------------------------------------


def test_both_networks_come_back_with_their_mode_gradients_weights_and_hooks_as_they_were():
    bottom, top = mlp(), mlp(seed=1)
    x, y = labelled(top)
    bottom.train()
    top.eval()
    bottom.head.weight.requires_grad_(requires_grad=False)
    before = [copy.deepcopy(n.state_dict()) for n in (bottom, top)]
    stitch_networks(bottom, top, x, labels=y, cuts="act1", fit=["least_squares", "task(epochs=1)"], **QUIET)
    assert bottom.training
    assert not top.training
    assert [p.requires_grad for p in bottom.parameters()] == [True] * 4 + [False, True]
    assert all(p.requires_grad and p.grad is None for p in top.parameters())
    for net, old in zip((bottom, top), before, strict=True):
        assert all(torch.equal(v, old[k]) for k, v in net.state_dict().items())
        assert not any(m._forward_hooks for m in net.modules())


def test_networks_come_back_as_they_were_after_an_error_too():
    top = mlp().train()
    x, y = labelled(top)
    with pytest.raises(UnknownNameError):
        stitch_networks(top, top, x, labels=y, cuts="fc9", **QUIET)
    assert top.training
    assert all(p.requires_grad for p in top.parameters())


def test_the_same_call_gives_the_same_bytes_and_what_is_saved_is_read_back(tmp_path):
    bottom, top = mlp(), mlp(seed=1)
    x, y = labelled(top)
    made = []
    for noise in (1, 2):
        torch.manual_seed(noise)  # the caller's generator has no say, and is left alone
        state = torch.get_rng_state()
        r = stitch_networks(bottom, top, x, labels=y, cuts="act1", fit=["task(epochs=2)", "orthogonal"], **QUIET)
        assert torch.equal(state, torch.get_rng_state())
        made.append(r)
    assert made[0].to_json() == made[1].to_json()
    back = load_result(made[0].save(tmp_path / "r.json"))
    assert isinstance(back, NetworkStitch)
    assert back.to_json() == made[0].to_json()
    assert back.at("act1", fit="orthogonal").verdict == made[0].at("act1", fit="orthogonal").verdict
    assert repr(back) == repr(made[0])
    assert back.to_records()[0]["random_bottom"] == made[0].cuts[0].controls["random_bottom"]["accuracy"]


# ---- where may be cut --------------------------------------------------------------------------------------------


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.inner, self.head = nn.Linear(6, 16), nn.Linear(16, 16), nn.Linear(16, 4)
        self.join, self.act = nn.Identity(), nn.ReLU()

    def forward(self, x):
        x = self.act(self.stem(x))
        x = self.join(x + self.inner(x))
        return self.head(self.act(x))


def test_a_cut_that_a_skip_connection_passes_by_is_refused():
    net = Residual()
    x, y = labelled(net)
    with pytest.raises(InputError, match="skip connection"):
        stitch_networks(net, net, x, labels=y, cuts="inner", **QUIET)
    assert stitch_networks(net, net, x, labels=y, cuts="join", **QUIET).cuts[0].accuracy == 1.0


def test_a_module_that_runs_twice_must_be_named_with_its_call():
    net = Residual()
    x, y = labelled(net)
    with pytest.raises(InputError, match=r"runs 2 times in a pass.*'act#0' to 'act#1'"):
        stitch_networks(net, net, x, labels=y, cuts="act", **QUIET)
    r = stitch_networks(net, net, x, labels=y, cuts=["act#0", "act#1"], **QUIET)
    assert [c.accuracy for c in r.cuts] == [1.0, 1.0]
    assert r.cuts[0].top_depth == pytest.approx(2 / 6)  # stem, act, inner, join, act, head
    assert r.cuts[1].top_depth == pytest.approx(5 / 6)
    with pytest.raises(InputError, match="runs 2 times"):
        stitch_networks(net, net, x, labels=y, cuts="act#2", **QUIET)


def test_maps_are_joined_by_their_channels_and_unequal_grids_are_refused():
    def net(stride, width, seed):
        torch.manual_seed(seed)
        parts = [
            nn.Conv2d(1, width, 3, stride, 1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, 3),
        ]
        return nn.Sequential(*parts)

    top, wide, coarse = net(1, 5, 0), net(1, 12, 1), net(2, 5, 2)
    x = torch.randn(80, 1, 6, 6)
    with torch.no_grad():
        logits = top(x)
    head = top[-1]
    head.bias.data -= logits.mean(0)  # so that all classes occur
    with torch.no_grad():
        y = top(x).argmax(1)
    for stitch in ("conv1x1", "linear"):
        cut = stitch_networks(wide, top, x, labels=y, cuts=[("0", "0")], stitch=stitch, **QUIET).cuts[0]
        assert cut.rows == 40 * 36
        assert cut.r2 == pytest.approx(1.0, abs=1e-6)  # twelve filters span the nine pixels that five look at
    with pytest.raises(InputError, match=r"\(n, 5, 3, 3\).*\(n, 5, 6, 6\).*same positions"):
        stitch_networks(coarse, top, x, labels=y, cuts="0", stitch="conv1x1", **QUIET)
    with pytest.raises(InputError, match="conv1x1 needs maps"):
        stitch_networks(top, top, x, labels=y, cuts="3", stitch="conv1x1", **QUIET)


# ---- transformers checkpoints ------------------------------------------------------------------------------------


def bert(folder, hidden, layers, seed):
    """A classifier saved and loaded as a user's own checkpoint would be."""
    from transformers import AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=30,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * hidden,
        num_labels=3,
        initializer_range=0.4,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return AutoModelForSequenceClassification.from_pretrained(folder)


def tokens(n=120, t=7):
    rng = np.random.default_rng(0)
    ids = rng.integers(3, 30, (n, t))
    mask = (np.arange(t) < rng.integers(3, t + 1, n)[:, None]).astype(np.int64)
    return {"input_ids": ids, "attention_mask": mask}


def test_transformers_checkpoints_of_different_width_and_depth_are_stitched_at_their_blocks(tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed")
    bottom, top = bert(tmp_path / "a", 24, 3, 0), bert(tmp_path / "b", 16, 2, 1)
    data = tokens()
    with torch.no_grad():
        logits = top.eval()(**{k: torch.from_numpy(v) for k, v in data.items()}).logits
    top.classifier.bias.data -= logits.mean(0)
    with torch.no_grad():
        y = top(**{k: torch.from_numpy(v) for k, v in data.items()}).logits.argmax(1)
    cuts = [("block_01", "block_01"), ("bert.encoder.layer.2", "block_02")]
    r = stitch_networks(bottom, top, data, labels=y, cuts=cuts, fit=["least_squares", "task(epochs=1)"], **QUIET)
    assert r.cuts[0].widths == (24, 16)
    assert r.base_accuracy == 1.0
    direct = r.at("block_01", fit="least_squares")
    assert direct.controls["self_stitch"] == {"accuracy": 1.0, "r2": pytest.approx(1.0, abs=1e-6)}
    train = np.setdiff1d(np.arange(120), r.provenance["test"])
    assert direct.rows == data["attention_mask"][train].sum()  # padded tokens are not fitted
    # what stands at padded places has no influence
    other = {**data, "input_ids": np.where(data["attention_mask"] == 1, data["input_ids"], 5)}
    again = stitch_networks(bottom, top, other, labels=y, cuts=cuts[:1], **QUIET)
    assert again.cuts[0].r2 == pytest.approx(direct.r2, abs=1e-6)


def test_a_network_that_labels_tokens_is_scored_token_by_token():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Embedding(20, 12), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 4))
    ids = torch.randint(0, 20, (60, 5))
    with torch.no_grad():
        y = net(ids).argmax(-1)
    y[:, 0] = -100
    cut = stitch_networks(net, net, ids, labels=y, cuts="1", fit=["least_squares"], **QUIET).cuts[0]
    assert cut.accuracy == 1.0
    with pytest.raises(InputError, match=r"labels have shape \(60,\).*one label a row"):
        stitch_networks(net, net, ids, labels=y[:, 1], cuts="1", **QUIET)


# ---- controls ----------------------------------------------------------------------------------------------------


def test_an_untrained_twin_has_other_weights_of_the_same_shape_and_leaves_the_network_alone():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.MultiheadAttention(4, 2))
    net[1].running_mean.fill_(7.0)
    a, b, c = (untrained_twin(net, None, seed) for seed in (0, 0, 1))  # the fixture drew the network with seed 0
    assert not torch.equal(a[0].weight, net[0].weight)
    assert torch.equal(a[0].weight, b[0].weight)
    assert not torch.equal(a[0].weight, c[0].weight)
    assert not torch.equal(a[2].in_proj_weight, net[2].in_proj_weight)
    assert float(a[1].running_mean.sum()) == 0
    assert float(net[1].running_mean[0]) == 7.0


def test_weights_that_cannot_be_drawn_anew_are_named_and_an_untrained_bottom_can_be_given():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.ones(16))

        def forward(self, x):
            return x * self.gain

    net = mlp()
    net.act1 = Scale()
    x, y = labelled(net)
    with pytest.raises(InputError, match=r"'act1' \(Scale\) cannot be drawn anew.*random_bottom="):
        stitch_networks(net, net, x, labels=y, cuts="fc2", **QUIET)
    for given in (mlp(seed=8), lambda seed: mlp(seed=seed)):
        r = stitch_networks(net, net, x, labels=y, cuts="fc2", random_bottom=given, random_draws=2, **QUIET)
        assert r.cuts[0].controls["random_bottom"]["accuracy"] < 1.0


def test_bottom_baselines_stand_beside_the_controls():
    top = mlp()
    x, y = labelled(top)
    r = stitch_networks(top, top, x, labels=y, cuts="fc1", bottom_baselines={"rotated": rotated(top)}, **QUIET)
    assert r.cuts[0].controls["rotated"]["accuracy"] == 1.0
    assert list(r.cuts[0].controls) == ["self_stitch", "random_bottom", "permuted", "rotated"]


def scored(**changes):
    values = {
        "bottom_layer": "a",
        "top_layer": "b",
        "bottom_depth": 0.5,
        "top_depth": 0.5,
        "stitch": "linear",
        "fit": "task",
        "widths": (4, 4),
        "rows": 10,
        "accuracy": 0.9,
        "base_accuracy": 0.95,
        "chance": 0.1,
        "penalty_interval": (0.0, 0.1),
        "r2": 0.5,
        "controls": {"random_bottom": {"accuracy": 0.3, "r2": -1.0}},
        "above_random": (0.5, 0.7),
        "margin": 0.1,
    }
    return CutStitch(**(values | changes))


def test_verdicts_follow_from_the_numbers():
    assert scored().verdict == "works"
    assert scored(accuracy=0.5).verdict == "does not work"
    assert not scored(accuracy=0.5, r2=-1.0).leaves_distribution
    assert scored(r2=-0.01).leaves_distribution
    near = {"random_bottom": {"accuracy": 0.81, "r2": 0.0}}
    assert scored(controls=near).uninformative
    assert scored(above_random=(-0.01, 0.9)).uninformative
    assert not scored().uninformative
    assert scored().penalty == pytest.approx(0.05)
    assert scored().relative_accuracy == pytest.approx(0.9 / 0.95)


# ---- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cuts": "fc7"}, "Unknown layer of the bottom 'fc7'. Did you mean"),
        ({"cuts": []}, "must hold at least one"),
        ({"cuts": [("fc1", "fc1", "fc2")]}, "must hold"),
        ({"stitch": "cubic"}, "Unknown stitch 'cubic'"),
        ({"stitch": "low_rank(rank=0)"}, "rank=0 must be a whole number"),
        ({"stitch": "low_rank(rank=99)"}, "rank=99 is above the widths, 16 and 16"),
        ({"stitch": "low_rank(rank=12)"}, "rank=12 needs activations of at least that rank, found 6"),
        ({"stitch": "low_rank(rank=2)", "fit": "identity"}, "full rank"),
        ({"stitch": "linear(axis=0)"}, "no feature axis 0"),
        ({"fit": "magic"}, "Unknown fit 'magic'"),
        ({"fit": []}, "fit is empty"),
        ({"fit": None}, "fit=None must be a name"),
        ({"fit": "task(epochs=0)"}, "epochs=0 must be"),
        ({"fit": "task(speed=1)"}, "Its parameters are"),
        ({"fit": "task(norm=True, init='least_squares')"}, "norm=True"),
        ({"fit": "task(learning_rate=-1.0)"}, "learning_rate=-1.0"),
        ({"test": 1.5}, "a share between 0 and 1"),
        ({"test": [0, 0, 1]}, "names an item twice"),
        ({"test": [400]}, "no row, which are 0 to 299"),
        ({"test": [3]}, "at least 2 of each"),
        ({"groups": [0, 1]}, "groups has 2 labels for 300 items"),
        ({"groups": [0] * 300, "test": [0, 1, 2]}, "test leaks: 1 group has items on both sides"),
        ({"random_draws": 0}, "random_draws=0"),
        ({"margin": 2}, "margin=2"),
        ({"random_bottom": 3}, "random_bottom is a network"),
        ({"top_data": np.zeros((4, 6))}, "data has 300 items and top_data has 4"),
        ({"bottom_baselines": {"odd": 3}}, "odd must be a torch.nn.Module"),
        ({"output": lambda raw: raw.sum(1)}, "class scores of shape"),
    ],
)
def test_bad_arguments_are_named_with_what_was_found(changes, message):
    net = mlp()
    x, y = labelled(net)
    with pytest.raises(InputError) as caught:
        stitch_networks(net, net, x, **({"labels": y, "cuts": "fc1", **QUIET} | changes))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(300), "whole numbers"),
        (["cat"] * 300, "whole numbers"),
        (np.zeros(5, dtype=int), "one label an item"),
        (np.arange(300), "labels go up to 299, but the top tells only 4 classes"),
        (np.full(300, -1), "from 0 on"),
        (np.zeros(300, dtype=int), "no more than the most frequent class"),
    ],
)
def test_bad_labels_are_refused(labels, message):
    net = mlp()
    x, _ = labelled(net)
    with pytest.raises(InputError) as caught:
        stitch_networks(net, net, x, labels=labels, cuts="fc1", **QUIET)
    assert message in str(caught.value)


class Gate(nn.Module):
    """A layer whose activations are the same for all items: a closed gate behind which a bias decides."""

    def __init__(self, net):
        super().__init__()
        self.net, self.gate = net, nn.Identity()

    def forward(self, x):
        return self.net(x) + self.gate(torch.zeros(len(x), 1))


def test_activations_that_are_constant_or_not_finite_are_refused():
    net = mlp()
    x, y = labelled(net)
    with pytest.raises(InputError, match="skip connection"):
        stitch_networks(Gate(net), Gate(net), x, labels=y, cuts="gate", **QUIET)
    broken = copy.deepcopy(net)
    broken.fc1.bias.data[0] = float("inf")
    with pytest.raises(InputError, match="the bottom's activations are not finite"):
        stitch_networks(broken, net, x, labels=y, cuts="fc1", **QUIET)
    blown = copy.deepcopy(net)
    blown.fc1.weight.data *= 1e200
    assert not torch.isfinite(blown.fc1.weight).all()
    with pytest.raises(InputError, match="not finite"):
        stitch_networks(blown, net, x, labels=y, cuts="fc1", fit="identity", **QUIET)


def test_groups_are_never_both_fitted_and_scored():
    net = mlp()
    x, y = labelled(net)
    groups = np.repeat(np.arange(60), 5)
    test = stitch_networks(net, net, x, labels=y, cuts="fc1", groups=groups, **QUIET).provenance["test"]
    assert len(test) == 150
    assert not set(groups[test]) & set(np.delete(groups, test))


def test_specs_are_spelt_back_in_one_way():
    assert [f.spec for f in read_fits(["task()", "task(norm=True)", "task(epochs=3)", "identity"])] == [
        "task",
        "task(norm=True)",
        "task(epochs=3)",
        "identity",
    ]
    assert read_form("low_rank(rank=8)").spec == "low_rank(rank=8)"
    assert read_form("linear(axis=-1)").spec == "linear(axis=-1)"
    assert read_form("conv1x1").spec == "conv1x1"


def test_importing_the_module_loads_no_torch():
    code = "import sys, isomorph.networks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- the digits: what is known of stitching -----------------------------------------------------------------------

LAYERS = [f"act{i}" for i in range(1, 6)]
TASK = "task(epochs=4, learning_rate=0.01)"


def digit_net():
    net = nn.Sequential()
    for i, stride in enumerate((1, 2, 1, 2, 1), 1):
        net.add_module(f"conv{i}", nn.Conv2d(1 if i == 1 else 16, 16, 3, stride, 1, bias=False))
        net.add_module(f"norm{i}", nn.BatchNorm2d(16))
        net.add_module(f"act{i}", nn.ReLU(inplace=True))
    return net.append(nn.AdaptiveAvgPool2d(1)).append(nn.Flatten()).append(nn.Linear(16, 10))


@pytest.fixture(scope="module")
def digits():
    """Three networks trained apart, each stitched into the next, and one pair with stitches trained on the task."""
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    x, y = datasets.load_digits(return_X_y=True)
    x, y = torch.from_numpy(x / 16).float().reshape(-1, 1, 8, 8), torch.from_numpy(y)
    order = np.random.default_rng(0).permutation(len(x))
    seen, test = order[:1100], order[1100:]
    nets = []
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        for seed in range(3):
            torch.manual_seed(seed)
            net = digit_net()
            optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=16 * 18)
            for _ in range(16):
                for part in torch.randperm(1100).split(64):
                    rows = torch.as_tensor(seen)[part]
                    loss = nn.functional.cross_entropy(net(x[rows]), y[rows])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    schedule.step()
            nets.append(net)

    def joined(i, cuts, fit):
        return stitch_networks(
            nets[i], nets[(i + 1) % 3], x, labels=y, cuts=cuts, stitch="conv1x1", fit=fit, test=test, show=False
        )

    pairs = [joined(i, LAYERS, ["identity", "least_squares"]) for i in range(3)]
    return pairs, joined(0, LAYERS[2:], TASK)


def test_networks_trained_apart_cannot_be_joined_by_the_identity(digits):
    accuracy = np.array([[r.at(layer, fit="identity").accuracy for layer in LAYERS] for r in digits[0]])
    assert accuracy.mean() < 0.25
    assert accuracy.max() < 0.5
    assert all(r.base_accuracy > 0.95 for r in digits[0])


@pytest.mark.thorough
def test_in_the_last_third_least_squares_costs_little_and_beats_an_untrained_bottom_by_far(digits):
    for layer in LAYERS[-2:]:  # four and five fifths of the depth
        cuts = [r.at(layer, fit="least_squares") for r in digits[0]]
        assert np.mean([c.penalty for c in cuts]) <= 0.05
        assert np.mean([c.accuracy - c.controls["random_bottom"]["accuracy"] for c in cuts]) >= 0.3
        assert not any(c.uninformative for c in cuts)
        assert all(c.controls["self_stitch"]["accuracy"] == pytest.approx(c.base_accuracy, abs=0.005) for c in cuts)
        assert all(c.controls["permuted"]["accuracy"] < 0.3 for c in cuts)


def test_the_first_layer_is_reported_as_uninformative(digits):
    cuts = [r.at("act1", fit="least_squares") for r in digits[0]]
    assert all(c.uninformative for c in cuts)
    assert all("untrained bottom is about as good" in c.verdict for c in cuts)


def test_a_stitch_trained_on_the_task_that_leaves_the_distribution_is_flagged(digits):
    trained = digits[1].cuts
    assert all(c.r2 < -1 and c.leaves_distribution and "leaves the distribution" in c.verdict for c in trained[:2])
    assert all(c.accuracy > 0.7 for c in trained)
    # least squares at the same cuts stays near what the top knows
    assert not any(c.leaves_distribution for r in digits[0] for c in r.cuts if c.fit == "least_squares")
    assert all(c.controls["permuted"]["accuracy"] < 0.4 for c in trained)


def test_an_output_that_fails_is_named():
    torch = pytest.importorskip("torch")
    torch.manual_seed(5)
    x = torch.randn(40, 4)
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    with pytest.raises(InputError, match=r"output= failed on what Sequential returns \(Tensor\)"):
        stitch_networks(net, net, x, cuts=["0"], labels=net(x).argmax(dim=1), output=int)
