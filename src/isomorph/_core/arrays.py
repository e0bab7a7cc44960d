"""The gate: every array of features enters Isomorph here.

What passes is 2-D, real, finite, floating (float32 or float64) and stays in its own array namespace
(NumPy, PyTorch, JAX, CuPy, array-api-strict) on its own device.
"""

from __future__ import annotations

import contextlib
import mmap
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, TypeAlias, final

import numpy as np
from array_api_compat import array_namespace, device, is_array_api_obj, is_jax_array, is_torch_array, to_device

from ..errors import InputError
from .frames import common_rows, unlabeled
from .memory import require
from .rdm import WHERE_RDMS_GO, Rdm

Array: TypeAlias = Any  # arrays of any array-API namespace have no common static type

_BLOCK_BYTES = 32 << 20  # of an array whose values are checked at once
_known: ContextVar[dict[int, weakref.ref[Any]] | None] = ContextVar("isomorph_checked_arrays", default=None)
_LARGEST = 1e140  # of a value of which millions of squares can be summed
_SUMMED = 1e300  # of a value of which millions can be summed
MANY = 1 << 14  # items from which on an array may be read once, and checked while it is read


@final
class Unread:
    """Features of many items that passed the gate but for their values, which are checked while they are read.

    It is no array, so that nothing can compute with values that nobody has looked at: only what promises to check
    them asks the gate for it (`as_features` with ``unread=True``), and calls `whole`, or `vouch` after a pass over all
    rows that found nothing.

    Attributes:
        source: The features, in memory or on disk, not checked.
        name: What they are called in messages.
        checked: Whether all values are known to be finite.
        told: Called once they are, or None.
    """

    __slots__ = ("checked", "name", "source", "told")

    def __init__(self, source: np.ndarray[Any, Any], name: str) -> None:
        self.source, self.name, self.checked = source, name, False
        self.told: Callable[[], object] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Items and features."""
        return (int(self.source.shape[0]), int(self.source.shape[1]))

    @property
    def dtype(self) -> np.dtype[Any]:
        """What is computed in: half precision, as stores keep it, is widened as it is read."""
        return widened(self.source.dtype)

    def vouch(self) -> None:
        """Say that all values were seen and are finite."""
        self.checked = True
        vouch(self.source)
        if self.told is not None:
            self.told()

    def seen(self) -> np.ndarray[Any, Any]:
        """The features as they are kept, once all values are known to be finite.

        Raises:
            InputError: as `as_features`, if they are not.
        """
        if not self.checked:
            _require_finite(self.source, self.name, np)
            self.vouch()
        return self.source

    def whole(self) -> np.ndarray[Any, Any]:
        """The features in the precision that is computed in, once all values are known to be finite.

        Raises:
            InputError: as `seen`, or if a copy in that precision does not fit.
        """
        source = self.seen()
        if source.dtype != self.dtype:
            what = f"A copy in {self.dtype} of {self.name}, kept in {source.dtype},"
            require(source.size * self.dtype.itemsize, what, "Use fewer items, or a metric that reads them in blocks.")
        return source.astype(self.dtype, copy=False)


def widened(dtype: Any) -> np.dtype[Any]:
    """The precision in which features of a NumPy precision are computed with: single for half, else their own."""
    return np.dtype(np.float32 if dtype == np.float16 else dtype)


@contextlib.contextmanager
def checked_once() -> Iterator[None]:
    """Within the ``with`` block the values of an array are looked at once, however often it passes the gate.

    Verbs open it: what they call checks its arguments too, and nobody changes an array while a verb runs.
    """
    if _known.get() is not None:
        yield
        return
    token = _known.set({})
    try:
        yield
    finally:
        _known.reset(token)


def vouch(x: Array) -> None:
    """Say within `checked_once` that all values of an array are finite."""
    known = _known.get()
    if known is not None:
        with contextlib.suppress(TypeError):  # some array libraries allow no weak references
            known[id(x)] = weakref.ref(x)


def is_vouched(x: Array) -> bool:
    """Whether all values of an array are known to be finite, within `checked_once`."""
    known = _known.get()
    return known is not None and id(x) in known and known[id(x)]() is x


def namespace(*arrays: Array) -> Any:
    """The array namespace that all the given arrays share.

    Raises:
        InputError: if they belong to different libraries.
    """
    try:
        return array_namespace(*arrays)
    except TypeError as error:
        kinds = sorted({f"{type(a).__module__.split('.')[0]}.{type(a).__name__}" for a in arrays})
        raise InputError(
            f"All arrays of one call must come from one library, found {' and '.join(kinds)}. "
            "Convert them first, for example with numpy.asarray."
        ) from error


def as_features(x: Any, name: str = "x", *, min_items: int = 1, unread: bool = False, rdms: bool = False) -> Array:
    """Check one representation and return it as floating features where it lives.

    Float32 and float64 are kept, lower precisions become float32, integers and booleans float64.

    Args:
        x: Array-like of shape ``(n_items, n_features)``.
        name: The argument's name, for messages.
        min_items: The fewest items that the caller can use.
        unread: Whether the caller checks the values of many items itself, while it reads them: a NumPy array of at
            least `MANY` items is then returned as `Unread`.
        rdms: Whether the caller compares RDMs: an `Rdm` then passes as it is.

    Raises:
        InputError: if `x` is not 2-D, real and finite, has no features, or too few items, or is an RDM that the caller
            cannot read.
    """
    x = unlabeled(x, name).values
    if isinstance(x, Rdm):
        return _as_rdm(x, name, min_items, rdms)
    x = _plain(x, name)
    if x.ndim != 2:
        raise InputError(
            f"{name} has shape {tuple(x.shape)}; features of shape (n_items, n_features) are needed. "
            "Pool or flatten everything behind the first axis, for example x.reshape(len(x), -1)."
        )
    xp = array_namespace(x)
    n, d = x.shape
    if d == 0:
        raise InputError(f"{name} has shape {(n, d)}: there are no features in it.")
    if n < min_items:
        raise InputError(f"{name} has {n} items; at least {min_items} are needed here.")
    later = unread and isinstance(x, np.ndarray) and n >= MANY
    if not (later and x.dtype == np.float16):  # which is widened block by block, where rows are read in blocks
        x = _floating(x, xp, name)
    if later:
        found = Unread(x, name)
        found.checked = is_vouched(x)
        return found
    if not is_traced(x) and not is_vouched(x):
        _require_finite(x, name, xp)
        vouch(x)
    return x


def _as_rdm(x: Rdm, name: str, min_items: int, rdms: bool) -> Rdm:
    """Pass an RDM to what compares RDMs.

    Raises:
        InputError: if the caller reads features, or it has too few items.
    """
    if not rdms:
        raise InputError(
            f"{name} is an RDM, the dissimilarities of {len(x)} items, and features are read here. {WHERE_RDMS_GO}"
        )
    if len(x) < min_items:
        raise InputError(f"{name} has {len(x)} items; at least {min_items} are needed here.")
    return x


def _require_finite(x: Array, name: str, xp: Any) -> None:
    """Refuse NaN and infinity; block by block in NumPy, so that what lies on disk is never held whole.

    Raises:
        InputError: if there are any; it says how many and where the first is.
    """
    n, blocked = x.shape[0], isinstance(x, np.ndarray)
    step = max(1, _BLOCK_BYTES // (x.shape[1] * x.itemsize) if blocked else n)
    count, first = 0, (0, 0)
    for start in range(0, n, step):
        block = x[start : start + step] if blocked else x
        if not _surely_finite(block):
            finite = xp.isfinite(block)
            if not bool(xp.all(finite)):
                rows, columns = np.nonzero(~np.asarray(to_numpy(finite)))
                first = first if count else (start + int(rows[0]), int(columns[0]))
                count += len(rows)
            elif block.dtype == xp.float64 and bool(xp.any(xp.abs(block) > _SUMMED)):
                raise InputError(
                    f"{name} holds values beyond {_SUMMED:g}, of which no sum over items can be held. Divide the "
                    "features by a number first."
                )
        forget_pages(x)
    if count:
        raise InputError(
            f"{name} holds {count} non-finite value{'s' if count > 1 else ''}, the first at item {first[0]}, "
            f"feature {first[1]}. Leave those items out or repair them: no metric is defined on NaN or infinity."
        )


def _surely_finite(block: Array) -> bool:
    """Whether a sum of squares shows that all values are finite: faster than asking each; False decides nothing."""
    if not (isinstance(block, np.ndarray) and block.flags.c_contiguous and block.size):
        return False
    flat = np.asarray(block).reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(np.dot(flat, flat)))


def forget_pages(x: Array) -> None:
    """Give back the memory that reading a read-only memory-mapped array has taken; the system keeps what it likes.

    Nothing is lost: what is needed again is read again, from the system's cache if it is still there.
    """
    mode = None
    while isinstance(x, np.ndarray):
        mode = getattr(x, "mode", mode)
        x = x.base
    # pages of a writable or private mapping may hold what the file does not
    if mode == "r" and isinstance(x, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        x.madvise(mmap.MADV_DONTNEED)


def as_pair(
    x: Any,
    y: Any,
    names: tuple[str, str] = ("x", "y"),
    *,
    min_items: int = 1,
    unread: bool = False,
    rdms: bool = False,
) -> tuple[Array, Array]:
    """Check two representations of the same items, row by row; tables are joined by the ids in their index first.

    NumPy's arrays join the library and device of the other side; torch's precisions meet at the higher one.

    Raises:
        InputError: as `as_features`, or if the numbers of items, the array libraries or the devices differ.
    """
    x, y = _joined(x, y, names)
    x = as_features(x, names[0], min_items=min_items, unread=unread, rdms=rdms)
    y = as_features(y, names[1], min_items=min_items, unread=unread, rdms=rdms)
    if x.shape[0] != y.shape[0]:
        raise InputError(
            f"{names[0]} has {x.shape[0]} items and {names[1]} has {y.shape[0]}; row i of both must be the same item. "
            "Join them by item id first (two feature-store entries are joined so by themselves)."
        )
    if all(isinstance(z, Unread | np.ndarray) for z in (x, y)):
        return x, y
    x, y = (z.whole() if isinstance(z, Unread) else z for z in (x, y))
    if isinstance(x, Rdm) or isinstance(y, Rdm):  # RDMs are compared in NumPy
        x, y = (z if isinstance(z, Rdm) else to_numpy(z) for z in (x, y))
        return x, y
    like = meeting([x, y], names)
    return (x, y) if like is None else (like(x), like(y))


def meeting(arrays: Sequence[Array], names: Sequence[str], *, stored: bool = False) -> Callable[[Array], Array] | None:
    """What brings arrays to one library, device and precision, or None where they are there already.

    Args:
        arrays: Features that passed the gate.
        names: What they are called in messages.
        stored: Whether arrays of NumPy that are not read yet meet them too.

    Raises:
        InputError: if they are of two libraries other than NumPy, or on two devices.
    """
    others = [a for a in arrays if not isinstance(a, np.ndarray)]
    if not others:
        return None
    xp = namespace(*others)
    places = {str(device(a)): name for a, name in zip(arrays, names, strict=True) if not isinstance(a, np.ndarray)}
    if len(places) > 1:
        where = " and ".join(f"{name} is on {place}" for place, name in places.items())
        raise InputError(f"{where}; move them to one device first, for example with x.to('cpu').")
    mixed = stored or len(others) < len(arrays)
    widest = any(str(a.dtype).endswith("float64") for a in arrays)
    if not mixed and len({str(a.dtype) for a in others}) == 1:
        return None

    def like(array: Array) -> Array:
        if isinstance(array, np.ndarray):
            # a copy where torch would warn that it could be written to, or cannot hold its strides
            odd = not array.flags.writeable or any(k < 0 for k in array.strides)  # of one item too, which is contiguous
            array = np.array(array, order="C") if odd else np.ascontiguousarray(array)
            array = to_device(xp.asarray(array), device(others[0]))
        dtype = xp.float64 if widest else xp.float32
        # the other libraries promote by themselves
        return xp.astype(array, dtype) if is_torch_array(array) and array.dtype != dtype else array

    return like


def _joined(x: Any, y: Any, names: tuple[str, str]) -> tuple[Any, Any]:
    """Two tables with the same items in the same order, where both have ids.

    Raises:
        InputError: if they cannot be joined.
    """
    a, b = unlabeled(x, names[0]), unlabeled(y, names[1])
    if a.ids is None or b.ids is None:
        return a.values, b.values
    rows = common_rows(a.ids, b.ids, names, (a.given, b.given))
    return (a.values, b.values) if rows is None else (a.values[rows[0]], b.values[rows[1]])


def _plain(x: Any, name: str) -> Array:
    """An array of real numbers whose values can be looked at.

    Raises:
        InputError: if it cannot be had from `x`; it says what to pass instead.
    """
    if hasattr(x, "todense"):
        fix = "toarray" if hasattr(x, "toarray") else "todense"
        raise InputError(f"{name} is a sparse matrix; dense features are needed: pass {name}.{fix}().")
    if isinstance(x, np.ma.MaskedArray):
        raise InputError(
            f"{name} is a masked array; masked values would count as if they were there. Leave their items "
            f"out, then pass plain features: np.asarray({name}[rows])."
        )
    if isinstance(x, np.matrix):  # whose products and shapes differ from an array's
        x = np.asarray(x)
    if isinstance(x, type):  # a class of arrays has all that an array has
        raise InputError(f"{name} is the class {x.__name__}, no array of it.")
    if not is_array_api_obj(x):
        try:
            x = np.asarray(x)
        except Exception as error:  # whatever an arbitrary object's conversion raises
            raise InputError(f"{name} cannot be read as an array of features: {error}") from error
    if isinstance(x, np.ndarray) and x.dtype.kind not in "fiub":
        what = "complex numbers" if x.dtype.kind == "c" else f"values of type {x.dtype}"
        raise InputError(f"{name} holds {what}; real numbers of shape (n_items, n_features) are needed.")
    if is_torch_array(x):
        _require_values(x, name)
    return x


def _require_values(x: Array, name: str) -> None:
    """Refuse torch's tensors that are no dense array of values.

    Raises:
        InputError: if `x` is one.
    """
    if x.device.type == "meta":
        raise InputError(f"{name} is on torch's device 'meta', where tensors have no values; load them first.")
    if x.is_quantized:
        raise InputError(f"{name} is quantized; pass {name}.dequantize().")
    if x.is_nested:
        raise InputError(f"{name} is a nested tensor; pool its parts to one row of features each.")
    if str(x.layout) != "torch.strided":
        raise InputError(f"{name} is a sparse tensor; dense features are needed: pass {name}.to_dense().")


def is_traced(x: Array) -> bool:
    """Whether JAX is tracing `x` (inside jax.grad or jax.jit): its values are not known then and cannot be checked."""
    if not is_jax_array(x):
        return False
    from jax.core import Tracer

    return isinstance(x, Tracer)


def to_numpy(x: Array) -> np.ndarray[Any, Any]:
    """A NumPy view or copy of any array, taken off its device and out of the gradient graph."""
    if isinstance(x, np.ndarray):
        return x
    if hasattr(x, "detach"):
        x = x.detach().cpu()
    elif type(x).__module__.startswith("cupy"):
        x = x.get()
    elif type(x).__module__.startswith("array_api_strict"):
        x = x._array  # the strict namespace has no other exit on every version
    return np.asarray(x)


def require_scale(x: np.ndarray[Any, Any], name: str) -> None:
    """Refuse features whose squares no float64 holds, for fits that are made of sums of squares.

    Raises:
        InputError: if their largest value is above 1e140 or, not being zero, below 1e-140.
    """
    largest = float(np.abs(x).max(initial=0.0))
    if largest > _LARGEST or 0 < largest < 1 / _LARGEST:
        raise InputError(
            f"{name} holds values of size {largest:.0e}, whose squares cannot be held as numbers. Divide {name} by "
            "that size first."
        )


def detached(x: Array) -> Array:
    """An array outside the gradient graph, where it lives: results hold numbers, not gradients."""
    return x.detach() if is_torch_array(x) and x.requires_grad else x


def take_rows(x: Array, order: Any) -> Array:
    """Rows of `x` in the given order (NumPy integers), where `x` lives."""
    if isinstance(x, np.ndarray | Rdm):
        return x[np.asarray(order)]
    xp = array_namespace(x)
    index = xp.asarray(np.asarray(order, dtype=np.int64))
    if hasattr(x, "device"):
        index = to_device(index, device(x))
    return xp.take(x, index, axis=0)


def _floating(x: Array, xp: Any, name: str) -> Array:
    try:
        return _as_floating(x, xp)
    except (TypeError, ValueError, RuntimeError, NotImplementedError) as error:
        raise InputError(
            f"{name} holds values of type {x.dtype}; real numbers of shape (n_items, n_features) are needed."
        ) from error


def _as_floating(x: Array, xp: Any) -> Array:
    if xp.isdtype(x.dtype, "complex floating"):
        raise TypeError("complex")
    if x.dtype in (xp.float32, xp.float64):
        return x
    if xp.isdtype(x.dtype, ("bool", "integral")):
        return xp.astype(x, xp.float64)
    return xp.astype(x, xp.float32 if xp.finfo(x.dtype).bits <= 32 else xp.float64)
