"""NumPy, torch and others on both sides, in every precision and form: computed or refused, the same in every verb."""

import numpy as np
import pytest

import isomorph as iso
from isomorph import InputError
from isomorph.maps import make_map

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4))
Y = X @ RNG.normal(size=(4, 4)) + 0.3 * RNG.normal(size=(40, 4))


def verbs(x, y):
    return {
        "metric": lambda: iso.metric("cka")(x, y),
        "scan": lambda: iso.scan(x, y, ["cka"], permutations=19)["cka"].best().value,
        "ceiling": lambda: iso.scan(X, Y, ["cka"], permutations=19, x_baselines={"b": x})["cka"].best().value,
        "stitch": lambda: iso.stitch(x, y, ["ridge"], repeats=2, permutations=2, curves=False).best().value,
        "fit": lambda: float(make_map("ridge").fit(x, y)(x).mean()),
        "diagnose": lambda: len(iso.diagnose(x, y).findings),
        "gallery": lambda: iso.gallery_curve("cka", x, y, sizes=[40])[0].value,
        "difference": lambda: iso.difference("cka", (x, y), (X, Y)).value,
    }


COMPUTED = {
    "float64": (lambda t: t, 1e-9),
    "float32": (lambda t: t.float(), 1e-5),
    "float16": (lambda t: t.half(), 1e-2),
    "bfloat16": (lambda t: t.bfloat16(), 5e-2),
    "requires_grad": (lambda t: t.clone().requires_grad_(), 1e-9),
    "in a graph": (lambda t: 2 * t.clone().requires_grad_(), 1e-9),
    "parameter": (torch.nn.Parameter, 1e-9),
    "transposed": (lambda t: t.T.contiguous().T, 1e-9),
}


@pytest.fixture(scope="module")
def wanted():
    """Of arrays of NumPy in double precision."""
    return {k: verb() for k, verb in verbs(X, Y).items()}


@pytest.mark.parametrize("other", ["numpy", "torch64", "torch32"])
@pytest.mark.parametrize("form", COMPUTED)
def test_torch_beside_numpy_and_other_precisions_is_computed_in_every_verb(form, other, wanted):
    make, tolerance = COMPUTED[form]
    y = {"numpy": Y, "torch64": torch.tensor(Y), "torch32": torch.tensor(Y).float()}[other]
    for name, verb in verbs(make(torch.tensor(X)), y).items():
        assert verb() == pytest.approx(wanted[name], abs=max(tolerance, 1e-5 if other == "torch32" else 0)), name


@pytest.mark.parametrize(
    "spec", ["rsa", "mutual_knn(k=5)", "procrustes", "svcca", "unbiased_cka", "distance_correlation"]
)
def test_metrics_of_other_engines_meet_numpy_too(spec):
    metric = iso.metric(spec)
    assert metric(torch.tensor(X), Y) == pytest.approx(metric(X, Y), abs=1e-9)
    assert metric(X, torch.tensor(Y).float()) == pytest.approx(metric(X, Y), abs=1e-4)


def test_a_gradient_flows_from_torch_to_numpy():
    x = torch.tensor(X, requires_grad=True)
    iso.metric("cka").score(x, Y).backward()
    assert torch.isfinite(x.grad).all()
    assert x.grad.abs().sum() > 0


REFUSED = {
    "meta": (lambda t: t.to("meta"), "no values"),
    "sparse": (lambda t: t.to_sparse(), r"to_dense\(\)"),
    "csr": (lambda t: t.to_sparse_csr(), r"to_dense\(\)"),
    "quantized": (lambda t: torch.quantize_per_tensor(t.float(), 0.1, 0, torch.qint8), r"dequantize\(\)"),
    "nested": (lambda t: torch.nested.nested_tensor([t[:3], t[3:]]), "nested"),
    "complex": (lambda t: t + 1j, "complex"),
    "scalar": (lambda t: t[0, 0], "shape"),
    "vector": (lambda t: t[:, 0], "shape"),
    "cube": (lambda t: t[None], "shape"),
    "object": (lambda t: t.numpy().astype(object), "type object"),
    "texts": (lambda t: t.numpy().astype(str), "type <U"),
    "structured": (lambda t: np.zeros(40, dtype=[("a", "f4")]), "type"),
    "dates": (lambda t: t.numpy().astype("datetime64[s]"), "type datetime64"),
    "nothing": (lambda t: t[:0], "0 items|items"),
    "None": (lambda t: None, "type object"),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR|The PyTorch API of nested|.*quantize:UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("form", REFUSED)
def test_what_has_no_values_is_refused_the_same_everywhere(form):
    make, words = REFUSED[form]
    x = make(torch.tensor(X))
    skip = {"diagnose"} if x is None else set()  # which can do without
    for name, verb in verbs(x, Y).items():
        if name not in skip:
            with pytest.raises(InputError, match=words):
                verb()


def test_two_libraries_other_than_numpy_are_refused_and_say_how():
    jax = pytest.importorskip("jax")
    x = jax.numpy.asarray(X, dtype="float32")
    for name, verb in verbs(x, torch.tensor(Y)).items():
        if name != "ceiling":
            with pytest.raises(InputError, match="must come from one library"):
                verb()


def test_a_matrix_is_an_array_and_stored_layers_meet_torch(tmp_path):
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix(X)
    assert iso.metric("cka")(matrix, Y) == iso.metric("cka")(X, Y)
    path = iso.Layers.from_arrays({"l": X}).save(tmp_path / "x.npz")
    found = iso.scan(path, torch.tensor(Y), ["cka"], permutations=19)["cka"].best().value
    assert found == pytest.approx(iso.metric("cka")(X, Y), abs=1e-9)


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_fits_to_values_whose_squares_no_number_holds_are_refused(scale):
    with pytest.raises(InputError, match=r"can(not)? be held"):
        make_map("ridge").fit(X * scale, Y)
