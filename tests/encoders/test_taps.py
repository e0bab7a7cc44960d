"""The layers of a network that is a stack of blocks."""

import weakref

import pytest

from isomorph.encoders._taps import block_taps


def test_what_enters_a_block_is_held_so_that_its_place_is_not_taken_for_the_inputs():
    torch = pytest.importorskip("torch")
    seen = []

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = torch.nn.ModuleList([torch.nn.Linear(4, 4) for _ in range(2)])

        def forward(self, x):
            x = x + 1
            seen.append(weakref.ref(x))
            for block in self.blocks:
                x = block(x)
            return x

    def forward():
        out = net(torch.ones(2, 4))
        assert seen[0]() is not None  # else `out` could lie where it lay
        return out

    net = Net()
    with torch.inference_mode():
        assert [t.layer for t in block_taps(net, forward)] == ["embedding", "block_01", "block_02"]
