"""The LSTM of DPRNN against nn.LSTM, whose weights it has."""

import pytest
import torch
from torch import Tensor, nn

from trainer.kernels.lstm import LSTM

TOLERANCE = 1e-12
"""In float64."""


@pytest.mark.parametrize(("steps", "batch"), [(7, 3), (1, 3), (5, 1)])
def test_outputs_and_all_gradients_are_those_of_nn_lstm(steps: int, batch: int) -> None:
    """Of one step, and of the next ones, which work in the memory of the first."""
    lstm = LSTM(6, 5).double()
    for seed in range(3):
        check(lstm, sequences(steps, batch, seed))


def test_sequences_of_any_length_may_follow_each_other() -> None:
    """Memory that is too small is replaced, some that is too large is used in part."""
    lstm = LSTM(6, 5).double()
    for steps in (4, 9, 2, 9, 4):
        check(lstm, sequences(steps, 3, steps))


def test_a_step_works_in_the_memory_of_the_one_before() -> None:
    """The two directions' memory lies at the same place in both."""
    lstm = LSTM(6, 5)
    places = []
    for seed in range(2):
        lstm(sequences(7, 3, seed).float()).sum().backward()
        places.append({memory.data_ptr() for memory in lstm._spare})
    assert len(places[0]) == 2
    assert places[0] == places[1]


def test_two_forward_passes_before_a_backward_pass_do_not_share_memory() -> None:
    """Gradients against those of nn.LSTM for the sum of both."""
    lstm = LSTM(6, 5).double()
    first, second = sequences(7, 3, 0), sequences(4, 3, 1)
    check(lstm, first)  # leaves memory that both could take
    expected = gradients(lstm, reference(lstm, first).sum() + reference(lstm, second).square().sum())
    found = gradients(lstm, lstm(first).sum() + lstm(second).square().sum())
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE)


def test_a_second_backward_pass_through_the_same_step_is_refused() -> None:
    """The first one has written into what the forward pass left."""
    loss = (lstm := LSTM(6, 5))(sequences(7, 3, 0).float()).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError):
        loss.backward()
    assert all(parameter.grad is not None for parameter in lstm.parameters())


def test_without_gradients_it_is_nn_lstm_itself() -> None:
    """Bit by bit."""
    lstm, inputs = LSTM(6, 5), sequences(7, 3, 0).float()
    with torch.no_grad():
        assert torch.equal(lstm(inputs), reference(lstm, inputs))


@pytest.mark.parametrize("training", [True, False])
def test_under_autocast_it_stays_in_fp32(training: bool) -> None:
    """Not every processor has a bf16 LSTM: the same as without, bit by bit, from inputs in bf16 too."""
    lstm, inputs = LSTM(6, 5), sequences(7, 3, 0).bfloat16()
    with torch.set_grad_enabled(training):
        expected = lstm(inputs.float())
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(lstm(inputs), expected)


def check(lstm: LSTM, inputs: Tensor) -> None:
    ours, theirs = lstm(inputs), reference(lstm, inputs)
    torch.testing.assert_close(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE)
    weights = torch.rand_like(theirs)
    for mine, other in zip(
        gradients(lstm, (ours * weights).sum(), inputs),
        gradients(lstm, (theirs * weights).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, rtol=TOLERANCE, atol=TOLERANCE)


def reference(lstm: LSTM, inputs: Tensor) -> Tensor:
    hidden: Tensor = nn.LSTM.forward(lstm, inputs)[0]
    return hidden


def gradients(lstm: LSTM, loss: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, [*inputs, *lstm.parameters()])


def sequences(steps: int, batch: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(steps, batch, 6, generator=generator, dtype=torch.float64, requires_grad=True)
