"""The U-Net has the paper's parameter counts and receptive fields, and takes slices of any size."""

import sys

import pytest
import torch

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.networks import NETWORKS, build_network, network_options, network_spec
from MgImplantSegLib.networks.spec import UNetSpec
from MgImplantSegLib.networks.unet import UNet

PUBLISHED = {(3, 32): 1.93e6, (4, 64): 31.0e6, (5, 64): 124.4e6, (5, 96): 279.8e6, (6, 112): 1.52e9}


@pytest.mark.parametrize(("depth", "width"), PUBLISHED)
def test_has_as_many_parameters_as_published(depth, width):
    with torch.device("meta"):
        network = UNet(UNetSpec(depth, width))
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == pytest.approx(PUBLISHED[depth, width], rel=3e-3)
    assert network.spec.parameter_count == count


@pytest.mark.parametrize(("depth", "pixels"), {3: 96, 4: 200, 5: 408, 6: 824}.items())
def test_true_receptive_field(depth, pixels):
    assert UNetSpec(depth, 32).receptive_field == pixels


def _monotone_network(depth: int) -> UNet:
    """A network in which every output grows with every input it depends on."""
    network = UNet(UNetSpec(depth, 1, classes=2)).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(1 / 3)
    return network


def _rows_that_change(network: UNet, row: int, size: int) -> set[int]:
    slices = torch.ones(1, 1, size, 8 * network.spec.size_multiple, dtype=torch.float64)
    with torch.inference_mode():
        before = network(slices)
        slices[0, 0, row] += 1e3
        return set((network(slices) != before)[0, 0].any(1).nonzero().flatten().tolist())


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_an_output_depends_on_the_receptive_field_and_on_nothing_further(depth):
    network, size = _monotone_network(depth), 32 * 2**depth
    changed = {row: _rows_that_change(network, row, size) for row in range(size // 4, 3 * size // 4)}
    middle = size // 2
    fields = [[row for row in changed if output in changed[row]] for output in range(middle, middle + 2**depth)]
    edges = [field[-1] - field[0] + 1 for field in fields]
    assert sum(edges) / len(edges) == network.spec.receptive_field
    # A tile that begins and ends at multiples of 2**depth needs no more than half of the field on either side.
    assert middle - min(field[0] for field in fields) <= network.spec.receptive_field // 2
    assert max(field[-1] for field in fields) - (middle + 2**depth - 1) <= network.spec.receptive_field // 2


def test_channels_double_from_block_to_block():
    network = UNet(UNetSpec(depth=3, width=2))
    assert [block[0].out_channels for block in network.encoder] == [2, 4, 8]
    assert network.bottleneck[0].out_channels == 16
    assert [block[0].in_channels for block in network.decoder] == [16, 8, 4]


def test_returns_one_logit_for_each_class_and_pixel():
    network = build_network({"name": "unet", "depth": 2, "width": 2, "classes": 3})
    assert network(torch.zeros(2, 1, 8, 12)).shape == (2, 3, 8, 12)


def test_convolutions_pad_with_zeros_and_mish_follows_the_batch_norm():
    block = UNet(UNetSpec(1, 2)).encoder[0]
    assert [type(layer).__name__ for layer in block] == ["Conv2d", "BatchNorm2d", "Mish"] * 2
    assert {(layer.padding, layer.padding_mode) for layer in block if hasattr(layer, "padding")} == {((1, 1), "zeros")}


def test_refuses_slices_that_cannot_be_halved_often_enough():
    with pytest.raises(InputError, match="multiples of 4"):
        UNet(UNetSpec(2, 2))(torch.zeros(1, 1, 8, 10))


def test_counts_multiplications_of_a_small_network_as_written_out():
    # level 0: 9·(1·2 + 2·2) · bottleneck: 9·(2·4 + 4·4)/4 · up: 2·2·2 · decoder: 9·(4·2 + 2·2) · head: 2·3
    expected = 9 * 6 + 9 * 24 / 4 + 8 + 9 * 12 + 6
    assert UNetSpec(depth=1, width=2, classes=3).multiplications_per_pixel == expected


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "resnet"}, "name of unet"),
        ({"name": "unet", "depth": 2}, "width"),
        ({"name": "unet", "depth": 2, "width": 4, "colour": 1}, "colour"),
        ({"name": "unet", "depth": 60, "width": 4}, "depth"),
        ({"name": "unet", "depth": 2, "width": 4.5}, "width"),
        ({"name": "unet", "depth": True, "width": 4}, "depth"),
        ({"name": "unet", "depth": 2, "width": 4, "in_channels": 3}, "in_channels of 1 for this network, got 3"),
        ({"name": "unet25d", "depth": 2, "width": 4, "in_channels": 4}, "in_channels of 3, 5, .*, got 4"),
        ({"name": ["unet"]}, "name of unet"),
        ("unet", "name of unet"),
    ],
)
def test_refuses_a_wrong_specification(spec, message):
    with pytest.raises(InputError, match=message):
        network_spec(spec)


def test_the_options_of_a_configuration_are_those_of_the_paper_where_none_are_given():
    assert network_options({}, 4) == {"name": "unet", "depth": 5, "width": 64}
    assert network_options({"depth": 3.0, "in_channels": 1}, 4) == {"name": "unet", "depth": 3, "width": 64}
    assert network_options({"name": "unet25d", "in_channels": 7}, 4)["in_channels"] == 7
    assert network_spec({"name": "unet", "depth": 3, "width": 8, "classes": 5, "in_channels": 1}) == UNetSpec(3, 8, 5)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_learns_something_from_one_step(name):
    torch.manual_seed(0)
    network = build_network({"name": name, "depth": 1, "width": 4, "classes": 2})
    slices, labels = torch.rand(2, network.spec.in_channels, 8, 8), torch.randint(0, 2, (2, 8, 8))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(10):
        loss = torch.nn.functional.cross_entropy(network(slices), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_reading_specifications_needs_no_torch():
    import subprocess

    code = "import sys, MgImplantSegLib.networks as n; n.network_spec({'name':'unet','depth':2,'width':2}); "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
