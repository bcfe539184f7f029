"""Optimisers against the formulas they are named after, written out again in numpy; schedules at their corners."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foreword.train.optim import OPTIMIZERS, SCHEDULES, optimizer, rate
from foreword.util.errors import ForewordError

RATE, DECAY = 0.3, 0.01


def gradients(steps: int, scale: float = 1.0) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [scale * rng.standard_normal((4, 6)).astype(np.float32) for _ in range(steps)]


def moved(name: str, grads: list[np.ndarray], decay: float) -> np.ndarray:
    value = torch.ones((4, 6), requires_grad=True)
    steps = optimizer(name, [{"params": [value], "lr": RATE}], decay)
    for grad in grads:
        value.grad = torch.tensor(grad)
        steps.step()
    return value.detach().numpy()


@pytest.mark.parametrize("scale", [1e-4, 1.0, 50.0])
@pytest.mark.parametrize("decay", [0.0, DECAY])
def test_adafactor_is_its_formula(scale: float, decay: float) -> None:
    """Shazeer and Stern 2018, algorithm 4, unfactored: v = b v + (1 - b)(g^2 + 1e-30), b = 1 - t^-0.8; u = g / sqrt v, divided by
    max(1, rms(u)); x = x - lr u, with decoupled weight decay."""
    grads = gradients(7, scale)
    value, square = np.ones((4, 6)), np.zeros((4, 6))
    for t, grad in enumerate(grads, 1):
        g = grad.astype(np.float64)
        beta = 1 - t**-0.8
        square = beta * square + (1 - beta) * (g**2 + 1e-30)
        update = g / np.sqrt(square)
        update /= max(1.0, float(np.sqrt((update**2).mean())))
        value = value * (1 - RATE * decay) - RATE * update
    assert np.allclose(moved("adafactor", grads, decay), value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("decay", [0.0, DECAY])
def test_adamw_is_its_formula(decay: float) -> None:
    grads = gradients(7)
    value, first, second = np.ones((4, 6)), np.zeros((4, 6)), np.zeros((4, 6))
    for t, grad in enumerate(grads, 1):
        g = grad.astype(np.float64)
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g**2
        update = first / (1 - 0.9**t) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        value = value * (1 - RATE * decay) - RATE * update
    assert np.allclose(moved("adamw", grads, decay), value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_step_does_not_depend_on_the_gradients_scale(name: str) -> None:
    """Why one learning rate can serve every model: only the units of the prompt count."""
    assert np.allclose(moved(name, gradients(5, 1e-2), 0.0), moved(name, gradients(5, 1e2), 0.0), atol=1e-4)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_has_no_gradient_stays(name: str) -> None:
    value, other = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    steps = optimizer(name, [{"params": [value, other], "lr": 0.1}], 0.0)
    value.grad = torch.ones(3)
    steps.step()
    assert not torch.equal(value, torch.ones(3)) and torch.equal(other, torch.ones(3))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_group_has_its_rate(name: str) -> None:
    fast, slow = torch.zeros(5, requires_grad=True), torch.zeros(5, requires_grad=True)
    steps = optimizer(name, [{"params": [fast], "lr": 0.1}, {"params": [slow], "lr": 0.01}], 0.0)
    fast.grad, slow.grad = torch.ones(5), torch.ones(5)
    steps.step()
    assert torch.allclose(fast, slow * 10) and float(fast[0].detach()) == pytest.approx(-0.1, rel=1e-3)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ForewordError, match=r"There is no optimizer 'adam'; did you mean 'adamw'\?"):
        optimizer("adam", [], 0.0)
    with pytest.raises(ForewordError, match=r"There is no schedule 'cosin'; did you mean 'cosine'\?"):
        rate("cosin", 0, 10, 0)


# -- schedules ------------------------------------------------------------------------------------------------------------


@given(st.sampled_from(sorted(SCHEDULES)), st.integers(1, 300), st.integers(0, 60))
def test_rates_rise_over_the_warmup_and_never_rise_again(schedule: str, total: int, warmup: int) -> None:
    rates = [rate(schedule, step, total, warmup) for step in range(total)]
    assert all(0 <= factor <= 1 for factor in rates)
    rising, falling = rates[:warmup], rates[warmup:]
    assert rising == sorted(rising) and (not rising or rising[0] > 0)
    assert falling == sorted(falling, reverse=True)
    assert all(factor > 0 for factor in rates), "no step is wasted"


def test_corners() -> None:
    assert [rate("constant", step, 10, 0) for step in (0, 9)] == [1.0, 1.0]
    assert rate("linear", 0, 10, 0) == 1.0 and rate("linear", 5, 10, 0) == 0.5
    assert rate("cosine", 5, 10, 0) == pytest.approx(0.5)
    assert [rate("linear", step, 12, 2) for step in (0, 1, 2)] == [1 / 3, 2 / 3, 1.0]
