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
