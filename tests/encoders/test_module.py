import numpy as np
import pytest
import torch

from isomorph.encoders import load_encoder
from isomorph.errors import InputError, MissingExtraError, UnknownNameError


class Net(torch.nn.Module):
    """A convolution whose output a later layer overwrites in place."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.act = torch.nn.ReLU(inplace=True)
        self.flat = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        self.scale = torch.nn.Hardtanh(-0.02, 0.02, inplace=True)
        self.unused = torch.nn.Linear(2, 2)

    def forward(self, x):
        return self.scale(self.flat(self.act(self.conv(x))))


@pytest.fixture
def net():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Net()


def tensors(items):
    return torch.stack([torch.from_numpy(np.asarray(i, dtype=np.float32) / 255).permute(2, 0, 1) for i in items])


USED = ["conv", "act", "flat", "scale"]


@pytest.fixture
def small():
    return list(np.random.default_rng(0).integers(0, 256, (4, 6, 7, 3), dtype=np.uint8))


def test_layers_are_taken_before_a_later_layer_overwrites_them(net, small):
    features = load_encoder(net, layers=USED, preprocess=tensors).encode(small)
    with torch.no_grad():
        conv = net.conv(tensors(small))
        flat = conv.relu().mean((2, 3))
    np.testing.assert_allclose(features["conv"], conv.mean((2, 3)).numpy(), atol=1e-6)
    np.testing.assert_allclose(features["act"], flat.numpy(), atol=1e-6)
    np.testing.assert_allclose(features["flat"], flat.numpy(), atol=1e-6)
    np.testing.assert_allclose(features["scale"], flat.clamp(-0.02, 0.02).numpy(), atol=1e-6)
    assert np.abs(features["scale"] - features["flat"]).max() > 1e-3


def test_images_are_preprocessed_as_imagenet_by_default(net, images):
    assert load_encoder(net, layers=["conv"]).encode(images)["conv"].shape == (8, 4)


def test_layers_are_given_by_pattern_or_by_names_of_ones_own(net, small):
    assert load_encoder(net, layers=["flat.*"], preprocess=tensors).layers == ("flat.0", "flat.1")
    named = load_encoder(net, named={"first": "conv", "last": "flat.1"}, preprocess=tensors)
    assert named.layers == ("first", "last")
    assert set(named.encode(small)) == {"first", "last"}


def test_an_attention_mask_of_the_users_own_is_respected():
    class Tokens(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Embedding(10, 3)

        def forward(self, ids, attention_mask):
            return self.embed(ids) * attention_mask[..., None]

    net = Tokens()

    def tokens(items):
        ids = torch.tensor([[len(w) for w in t.split()] + [0] * (4 - len(t.split())) for t in items])
        return {"ids": ids, "attention_mask": ids > 0}

    encoder = load_encoder(net, modality="text", preprocess=tokens)
    features = encoder.encode(["a cat", "the red dog runs"])["embed"]
    np.testing.assert_allclose(features[0], net.embed.weight[[1, 3]].mean(0).detach().numpy(), atol=1e-6)


def test_weights_preprocessing_and_architecture_are_in_the_identity(net):
    plain = load_encoder(net, layers=USED, preprocess=tensors, preprocessing="scaled, v1")
    assert plain.identity == load_encoder(net, layers=USED, preprocess=tensors, preprocessing="scaled, v1").identity
    assert plain.identity != load_encoder(net, layers=USED, preprocess=tensors, preprocessing="scaled, v2").identity
    assert "def tensors" in load_encoder(net, layers=USED, preprocess=tensors).identity["preprocessing"]["source"]
    other = Net()
    other.load_state_dict(net.state_dict())
    same = load_encoder(other, layers=USED, preprocess=tensors, preprocessing="scaled, v1")
    assert same.identity == plain.identity
    with torch.no_grad():
        other.conv.bias[0] += 1
    assert load_encoder(other, layers=USED, preprocess=tensors, preprocessing="scaled, v1").identity != plain.identity
    assert plain.revision.startswith("sha256-")


def test_dropout_is_off(small):
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5)).train()
    encoder = load_encoder(net, preprocess=tensors)
    np.testing.assert_array_equal(encoder.encode(small)["1"], encoder.encode(small)["0"])


def test_a_layer_that_does_not_run_is_refused(net, small):
    with pytest.raises(InputError, match="layer 'unused' does not run"):
        load_encoder(net, preprocess=tensors).encode(small)


def test_no_hooks_stay_behind_even_after_an_error(net, small):
    with pytest.raises(InputError):
        load_encoder(net, preprocess=tensors).encode(small)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"modality": "smell"}, "Unknown modality"),
        ({"modality": "text"}, "needs preprocess="),
        ({"init": "random"}, "cannot be drawn anew"),
        ({"layers": ["convv"]}, "Did you mean 'conv'"),
        ({"named": {"a": "cnv"}}, "Did you mean 'conv'"),
        ({"colour": 1}, "Unknown option"),
        ({"pooling": "last", "layers": ["conv"]}, "layer 'conv': pooling='last' needs tokens"),
        ({"preprocess": lambda items: torch.zeros(1, 3, 8, 8)}, "the first axis must be the items"),
    ],
)
def test_options_that_do_not_fit_are_refused(net, images, options, says):
    with pytest.raises(InputError, match=says):
        load_encoder(net, **options).encode(images[:2])


def test_what_is_no_module_is_refused():
    with pytest.raises(InputError, match=r"torch.nn.Module, found int"):
        load_encoder(3)
    with pytest.raises(InputError, match="which no text can name"):
        load_encoder("module:mine")


def test_without_torch_the_message_names_the_command(net, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'isomorph\[models\]'"):
        load_encoder(net)


def test_an_unknown_layer_error_is_an_unknown_name(net):
    with pytest.raises(UnknownNameError):
        load_encoder(net, layers="nothing like it")


def test_another_dtype_runs_on_a_copy_and_leaves_the_users_network_alone(net, small):
    plain = load_encoder(net, layers=USED, preprocess=tensors)
    before = plain.encode(small)
    double = load_encoder(
        net, layers=USED, preprocess=lambda items: tensors(items).double(), preprocessing="doubled", dtype="float64"
    )
    double.encode(small)
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    np.testing.assert_array_equal(plain.encode(small)["conv"], before["conv"])


class Blocks(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.blocks = torch.nn.ModuleList(
            [torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.ReLU()) for _ in range(3)]
        )
        self.shared = torch.nn.Linear(6, 6)

    def forward(self, x):
        for block in self.blocks:
            x = self.shared(block(x))
        return x


ROWS = torch.randn(8, 5, 6, generator=torch.Generator().manual_seed(0))
PICK = {
    "preprocess": lambda items: torch.stack([ROWS[int(i)] for i in items]),
    "modality": "text",
    "preprocessing": "rows, v1",
}


def test_lists_of_modules_are_their_members_and_a_star_is_one_part_of_a_path():
    assert load_encoder(Blocks(), **PICK).layers == ("blocks.0", "blocks.1", "blocks.2", "shared")
    assert load_encoder(Blocks(), **PICK, layers="blocks.*").layers == ("blocks.0", "blocks.1", "blocks.2")
    inside = load_encoder(Blocks(), **PICK, layers="blocks.**").layers
    assert "blocks.0.1" in inside


def test_a_module_that_is_called_several_times_asks_for_the_call():
    with pytest.raises(InputError, match=r"'shared' is called 3 times in one pass; say which call"):
        load_encoder(Blocks(), **PICK, layers="shared").encode(["0", "1"])
    net = Blocks()
    encoder = load_encoder(net, **PICK, layers=["shared@1", "shared@3"])
    rows = encoder.encode(["0", "1", "2"])
    with torch.no_grad():
        first = net.shared(net.blocks[0](ROWS[:3])).mean(1)
        last = net(ROWS[:3]).mean(1)
    np.testing.assert_allclose(rows["shared@1"], first, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(rows["shared@3"], last, rtol=1e-5, atol=1e-6)


def test_training_mode_and_batch_statistics_are_left_out_at_every_call():
    net = torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.BatchNorm1d(5), torch.nn.Dropout(0.5))
    encoder = load_encoder(net, **PICK)
    mean = net[1].running_mean.clone()
    net.train()
    a, b = encoder.encode(["0", "1"])["2"], encoder.encode(["0", "1"])["2"]
    np.testing.assert_array_equal(a, b)
    assert torch.equal(mean, net[1].running_mean)


def test_weights_trained_on_since_change_the_identity():
    net = Blocks()
    encoder = load_encoder(net, **PICK, layers="blocks.*")
    before = encoder.identity
    with torch.no_grad():
        net.blocks[1][0].weight.data.mul_(1.5)
    assert encoder.identity != before


def test_a_function_of_a_file_makes_the_network(tmp_path):
    (tmp_path / "net.py").write_text(
        "import torch\n\n\ndef plain():\n    torch.manual_seed(0)\n"
        "    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3))\n"
    )
    encoder = load_encoder(f"module:{tmp_path / 'net.py'}:plain")
    assert encoder.layers == ("0",)
    assert encoder.checked == "passed"
    with pytest.raises(UnknownNameError, match="Did you mean 'plain'"):
        load_encoder(f"module:{tmp_path / 'net.py'}:plane")
    with pytest.raises(InputError, match="there is no file"):
        load_encoder("module:nowhere.py:make")


@pytest.mark.parametrize("axes", ["xyz", "bb", "btdd", 3])
def test_words_about_axes_that_say_nothing_are_refused(axes):
    with pytest.raises(InputError, match="axes="):
        load_encoder(Blocks(), **PICK, layers="blocks.*", axes=axes).encode(["0", "1"])


def test_tokens_as_many_as_features_are_told_apart():
    net = torch.nn.Sequential(torch.nn.Linear(4, 5))
    rows = torch.randn(6, 5, 4, generator=torch.Generator().manual_seed(1))
    encoder = load_encoder(
        net, preprocess=lambda items: torch.stack([rows[int(i)] for i in items]), modality="text", preprocessing="v1"
    )
    with torch.no_grad():
        right = net(rows[:3]).mean(1)
    np.testing.assert_allclose(encoder.encode(["0", "1", "2"])["0"], right, rtol=1e-5, atol=1e-6)
    assert encoder.axes == {"0": "btd"}


def test_recurrent_layers_have_the_features_that_their_states_have():
    class Recurrent(torch.nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.both = torch.nn.LSTM(6, 5, batch_first=True, bidirectional=True)
            self.last = torch.nn.GRU(10, 4)  # time first

        def forward(self, x):
            return self.last(self.both(x)[0].swapaxes(0, 1))

    net = Recurrent()
    encoder = load_encoder(net, **PICK)
    rows = encoder.encode(["0", "1", "2"])
    with torch.no_grad():
        both = net.both(ROWS[:3])[0]
        last = net.last(both.swapaxes(0, 1))[0].mean(0)
    np.testing.assert_allclose(rows["both"], both.mean(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(rows["last"], last, rtol=1e-5, atol=1e-6)


def test_batches_of_one_do_not_escape_the_check():
    class Noisy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.map = torch.nn.Linear(6, 6)

        def forward(self, x):
            return self.map(torch.nn.functional.dropout(x, 0.5, training=True))

    torch.manual_seed(0)
    net = Noisy()
    encoder = load_encoder(torch.nn.Sequential(net), **PICK)
    with pytest.raises(InputError, match="other features at another call"):
        encoder.encode(["0"])
    mixing = load_encoder(Mixing(), **PICK)
    mixing.encode(["0"])
    with pytest.raises(InputError, match="share its batch"):
        mixing.encode(["1"])


class Mixing(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.map = torch.nn.Linear(6, 6)

    def forward(self, x):
        return self.map(x - x.mean(0, keepdim=True) / 2)


@pytest.mark.parametrize("made", [None, {}, (1, 2), [1, 2, "x"], torch.zeros(2, 3)])
def test_what_a_network_cannot_take_is_answered_in_words(made):
    net = torch.nn.Sequential(torch.nn.Linear(6, 6))
    with pytest.raises(InputError):
        load_encoder(net, preprocess=lambda items: made, preprocessing="x", modality="text").encode(["0", "1"])


def test_a_preprocess_that_changed_since_is_another_key():
    class Scale:
        def __init__(self):
            self.factor = 1.0

        def __call__(self, items):
            return self.factor * torch.stack([ROWS[int(i)] for i in items])

    scale = Scale()
    encoder = load_encoder(Blocks(), preprocess=scale, modality="text", layers="blocks.*")
    before = encoder.identity
    scale.factor = 2.0
    assert encoder.identity != before


def test_threads_do_not_mix_their_batches():
    from concurrent.futures import ThreadPoolExecutor

    encoder = load_encoder(Blocks(), **PICK, layers="blocks.*")
    encoder.encode(["0", "1"])
    right = {i: encoder.encode([str(i)])["blocks.2"][0] for i in range(8)}
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: (i % 8, encoder.encode([str(i % 8)])["blocks.2"][0]), range(80)))
    for i, row in found:
        np.testing.assert_allclose(row, right[i], rtol=1e-5, atol=1e-6)
