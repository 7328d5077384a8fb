"""Losses against sums written out by hand, and statistics against torch's own layers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.labels import BACKGROUND, BONE, DEGRADATION_LAYER, RESIDUAL_MATERIAL, LabelScheme
from MgImplantSegLib.training.loop.average import AveragedNetwork
from MgImplantSegLib.training.loop.distributed import GlobalBatchNorm2d
from MgImplantSegLib.training.loop.fast_mish import FastMish, with_fast_mish
from MgImplantSegLib.training.loop.loss_functions import (
    boundary_length,
    cross_entropy,
    cross_entropy_smooth,
    cross_entropy_surface,
    dice,
    near_implant_surface,
)
from MgImplantSegLib.training.loop.losses import IGNORE, LOSSES, build_loss
from MgImplantSegLib.training.loop.score import confusion_matrix, iou_per_class, mean_defined


def logits_of(probabilities: list) -> torch.Tensor:
    """(1, 2, h, w) logits whose softmax is p and 1 − p for p of the second class, rows given as lists."""
    second = torch.tensor(probabilities, dtype=torch.float32)[None, None]
    return torch.cat((1 - second, second), dim=1).clamp(1e-7, 1).log()


def test_cross_entropy_is_the_mean_of_minus_log_p_over_known_pixels():
    logits = logits_of([[0.5, 0.75], [0.2, 0.9]])
    target = torch.tensor([[[1, 1], [0, IGNORE]]], dtype=torch.uint8)
    expected = -(math.log(0.5) + math.log(0.75) + math.log(0.8)) / 3
    assert float(cross_entropy(logits, target)) == pytest.approx(expected, rel=1e-5)


def test_an_ignored_pixel_gives_no_gradient():
    logits = logits_of([[0.5, 0.75]]).requires_grad_()
    target = torch.tensor([[[1, IGNORE]]], dtype=torch.uint8)
    for name in LOSSES:
        loss = build_loss(name, {}, LabelScheme())
        (gradient,) = torch.autograd.grad(loss(logits, target), logits)
        assert gradient[..., 0].abs().max() > 0
        assert torch.equal(gradient[..., 1], torch.zeros(1, 2, 1))


def test_dice_is_twice_the_overlap_over_the_sum_averaged_over_present_classes():
    logits = logits_of([[0.5, 1.0], [0.0, 0.3]])
    target = torch.tensor([[[1, 1], [0, IGNORE]]], dtype=torch.uint8)
    second = 2 * 1.5 / (1.5 + 2)
    first = 2 * 1.0 / (1.5 + 1)
    assert float(dice(logits, target)) == pytest.approx(1 - (first + second) / 2, abs=1e-5)


def test_dice_leaves_out_a_class_that_is_not_in_the_batch():
    logits = logits_of([[0.4, 0.4]])
    target = torch.zeros(1, 1, 2, dtype=torch.uint8)
    assert float(dice(logits, target)) == pytest.approx(1 - 2 * 1.2 / (1.2 + 2), abs=1e-5)


def test_a_straight_boundary_costs_its_length():
    rows = [[0.0, 0.0, 1.0, 1.0, 1.0]] * 6
    length = boundary_length(logits_of(rows), torch.zeros(1, 6, 5, dtype=torch.uint8))
    steps_between_known_rows = 5  # the last row has no row below to compare with
    assert float(length) * 30 == pytest.approx(steps_between_known_rows * math.sqrt(2) / 2 * math.sqrt(2), rel=1e-3)


def test_a_ragged_boundary_costs_more_than_a_smooth_one():
    smooth = [[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]] * 6
    ragged = [[0.0, 0.0, 1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]] * 3
    target = torch.zeros(1, 6, 6, dtype=torch.uint8)
    assert float(boundary_length(logits_of(ragged), target)) > 1.5 * float(boundary_length(logits_of(smooth), target))


def test_the_smoothing_loss_is_cross_entropy_plus_weighted_length():
    logits = logits_of([[0.2, 0.7, 0.4], [0.9, 0.1, 0.3]])
    target = torch.tensor([[[0, 1, 0], [1, 0, IGNORE]]], dtype=torch.uint8)
    expected = cross_entropy(logits, target) + 0.5 * boundary_length(logits, target)
    assert float(cross_entropy_smooth(logits, target, weight=0.5)) == pytest.approx(float(expected))


def test_near_the_implants_surface_are_pixels_with_implant_and_something_else_within_reach():
    target = torch.tensor([[[1, 1, 1, 2, 3, 3, 3]]], dtype=torch.uint8)
    assert near_implant_surface(target, (2, 3), 1)[0, 0].tolist() == [False, False, True, True, False, False, False]
    assert near_implant_surface(target, (2, 3), 2)[0, 0].tolist() == [False, True, True, True, True, False, False]
    unknown = torch.tensor([[[1, 1, IGNORE, 2, 3]]], dtype=torch.uint8)
    assert not near_implant_surface(unknown, (2, 3), 1)[unknown != IGNORE].any()


def test_the_surface_loss_weighs_pixels_near_the_implants_surface_more():
    probability = torch.full((1, 3, 1, 5), 0.2)
    probability[:, 0] = torch.tensor([0.5, 0.5, 0.5, 0.5, 0.25])
    target = torch.tensor([[[0, 0, 0, 2, 2]]], dtype=torch.uint8)
    entropy = -torch.tensor([math.log(0.5)] * 3 + [math.log(p) for p in (0.2 / 0.9, 0.2 / 0.65)])
    entropy[:3] += math.log(0.9)
    expected = (entropy * torch.tensor([1.0, 1.0, 4.0, 4.0, 1.0])).sum() / 11 + dice(probability.log(), target)
    assert float(
        cross_entropy_surface(probability.log(), target, implant_channels=(2, 3), weight=4, reach_px=1)
    ) == pytest.approx(float(expected))


def test_the_surface_loss_finds_the_implants_channels_by_their_roles():
    logits = torch.randn(1, 4, 5, 5, generator=torch.Generator().manual_seed(1))
    usual = torch.tensor([[[0, 0, 1, 2, 3]] * 5], dtype=torch.uint8)
    order = [0, 3, 2, 1]  # metal, layer, bone: channel 1 to 3
    other = LabelScheme((BACKGROUND, RESIDUAL_MATERIAL, DEGRADATION_LAYER, BONE))
    expected = build_loss("cross_entropy_surface", {}, LabelScheme())(logits, usual)
    found = build_loss("cross_entropy_surface", {}, other)(logits[:, order], torch.tensor(order)[usual.long()])
    assert float(found) == pytest.approx(float(expected))


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_zero_without_a_known_pixel_and_has_finite_gradients(name):
    logits = torch.zeros(2, 3, 4, 4, requires_grad=True)
    loss = build_loss(name, {}, LabelScheme())(logits, torch.full((2, 4, 4), IGNORE, dtype=torch.uint8))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert float(loss.detach()) == 0
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_falls_when_it_is_followed(name):
    torch.manual_seed(0)
    logits = torch.randn(1, 3, 6, 6, requires_grad=True)
    target = torch.randint(0, 3, (1, 6, 6), dtype=torch.uint8)
    loss = build_loss(name, {}, LabelScheme())
    (gradient,) = torch.autograd.grad(loss(logits, target), logits)
    assert float(loss(logits - 0.5 * gradient, target).detach()) < float(loss(logits, target).detach())


def test_unknown_losses_and_options_are_named():
    with pytest.raises(InputError, match="Did you mean 'cross_entropy_dice'"):
        build_loss("cross_entropy_dise", {}, LabelScheme())
    with pytest.raises(InputError, match="options of the loss 'cross_entropy_smooth' \\(weight\\), got 'wieght'"):
        build_loss("cross_entropy_smooth", {"wieght": 1.0}, LabelScheme())


def test_iou_is_overlap_over_union_and_undefined_for_a_class_that_is_nowhere():
    target = torch.tensor([0, 0, 1, 1, IGNORE], dtype=torch.uint8)
    predicted = torch.tensor([0, 1, 1, 1, 2])
    iou = iou_per_class(confusion_matrix(predicted, target, 3))
    assert iou[:2] == pytest.approx([1 / 2, 2 / 3])
    assert math.isnan(iou[2])
    assert mean_defined(iou) == pytest.approx(7 / 12)


def test_fast_mish_is_mish_with_the_same_gradient():
    x = torch.linspace(-40, 40, 4001, dtype=torch.float64)
    for own, reference in ((x.clone().requires_grad_(), x.clone().requires_grad_()),):
        FastMish()(own).sum().backward()
        nn.functional.mish(reference).sum().backward()
        assert torch.allclose(FastMish()(x), nn.functional.mish(x), atol=1e-12)
        assert torch.allclose(own.grad, reference.grad, atol=1e-12)


def test_fast_mish_takes_the_place_of_mish_without_renaming_weights():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.BatchNorm2d(2), nn.Mish(inplace=True)))
    names = list(network.state_dict())
    with_fast_mish(network)
    assert list(network.state_dict()) == names
    assert not any(isinstance(module, nn.Mish) for module in network.modules())


def test_global_batch_norm_of_one_process_is_batch_norm():
    torch.manual_seed(0)
    x = torch.randn(3, 4, 5, 6) * 2 + 1
    own, reference = GlobalBatchNorm2d(4), nn.BatchNorm2d(4)
    own.world_sum = lambda tensor: tensor
    own_x, reference_x = x.clone().requires_grad_(), x.clone().requires_grad_()
    weights = torch.randn(3, 4, 5, 6)
    (own(own_x) * weights).sum().backward()
    (reference(reference_x) * weights).sum().backward()
    assert torch.allclose(own_x.grad, reference_x.grad, atol=1e-5)
    assert torch.allclose(own.running_mean, reference.running_mean, atol=1e-6)
    assert torch.allclose(own.running_var, reference.running_var, atol=1e-5)
    assert torch.allclose(own.eval()(x), reference.eval()(x), atol=1e-5)


def test_averaged_values_follow_the_network_slowly_at_the_end_and_quickly_at_first():
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    average, expected = AveragedNetwork(network, decay=0.3), network[0].weight.item()
    for number, value in enumerate((5.0, -1.0, 2.0), start=1):
        network[0].weight.data.fill_(value)
        network[1].num_batches_tracked.fill_(10 * number)
        average.update_parameters(network)
        decay = min(0.3, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * value
        assert average.network[0].weight.item() == pytest.approx(expected)
        assert int(average.network[1].num_batches_tracked) == 10 * number
    other = AveragedNetwork(network, decay=0.3)
    other.load_state(average.state())
    assert other.state()["updates"] == 3 and other.network[0].weight.item() == pytest.approx(expected)
