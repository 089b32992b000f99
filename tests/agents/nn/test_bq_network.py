"""The BQ network: what it must not depend on, what it must see, and its parts against hand-computed values."""

from __future__ import annotations

from typing import Any

import bq_cases
import pytest
import torch
from torch.nn import functional

from optgap.agents.bq.config import SIZES
from optgap.agents.bq.labels import task_of
from optgap.agents.bq.tasks import atsp, knapsack, tsp
from optgap.agents.nn.bq import FAR, LONGEST, SLOPES, BQNetwork, Reduced, Scores, Turn, attention, in_units, turned


def network_of(problem: str, **changes: Any) -> BQNetwork:
    torch.manual_seed(0)
    task = task_of(problem)
    width, layers, heads, hidden = SIZES["tiny"]
    settings: dict[str, Any] = {"width": width, "layers": layers, "heads": heads, "hidden": hidden}
    settings |= {"edges": task.edges, "symmetric": task.symmetric, "rotary": task.planar}
    return BQNetwork(task.features, task.actions, **(settings | changes))


def random_case(problem: str, tokens: int, batch: int = 2, seed: int = 0) -> Reduced:
    """Reduced instances without padding."""
    generator = torch.Generator().manual_seed(seed)
    if problem == "tsp":
        return tsp.reduce(torch.rand(batch, tokens, 2, generator=generator))
    if problem == "atsp":
        return atsp.reduce(torch.rand(batch, tokens, tokens, generator=generator))
    value, weight = torch.rand(2, batch, tokens, generator=generator, dtype=torch.float64)
    room = torch.full((batch,), tokens / 4, dtype=torch.float64)
    return knapsack.among(value, weight, room, torch.ones(batch, tokens, dtype=torch.bool), None)[0]


def run(network: BQNetwork, reduced: Reduced) -> Scores:
    with torch.no_grad():
        found: Scores = network(reduced)
    return found


@pytest.mark.parametrize("problem", ["tsp", "atsp", "kp"])
def test_the_order_of_the_tokens_means_nothing(problem: str) -> None:
    network, reduced = network_of(problem), random_case(problem, 9)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    distances = None if reduced.distances is None else reduced.distances[:, order][:, :, order]
    other = Reduced(reduced.features[:, order], reduced.role[:, order], distances, reduced.allowed[:, order], None)
    before, after = run(network, reduced._replace(present=None)), run(network, other)
    if problem == "kp":
        torch.testing.assert_close(after.actions, before.actions[:, order])
    else:  # the first two are known by their places: only candidates may change theirs
        order = torch.cat([torch.arange(2), 2 + torch.randperm(7, generator=torch.Generator().manual_seed(1))])
        assert reduced.distances is not None
        distances = reduced.distances[:, order][:, :, order]
        after = run(network, Reduced(reduced.features[:, order], reduced.role, distances, reduced.allowed, None))
        torch.testing.assert_close(after.actions, before.actions[:, order], atol=1e-5, rtol=1e-5)
        assert before.edges is not None
        torch.testing.assert_close(after.edges, before.edges[:, order][:, :, order], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(after.chosen, before.chosen[:, order], atol=1e-5, rtol=1e-5)
    assert float(before.chosen.std()) > 1e-2  # and yet the tokens differ


@pytest.mark.parametrize("problem", ["tsp", "atsp", "kp"])
def test_padding_changes_nothing(problem: str) -> None:
    network, tokens, padded = network_of(problem), 6, 11
    generator = torch.Generator().manual_seed(2)
    present = torch.arange(padded).expand(2, -1) < torch.tensor([[tokens], [padded]])
    if problem == "tsp":
        xy = torch.rand(2, padded, 2, generator=generator)
        xy[0, tokens:] *= 50
        alone, together = tsp.reduce(xy[:1, :tokens]), tsp.reduce(xy, present)
    elif problem == "atsp":
        matrix = torch.rand(2, padded, padded, generator=generator)
        matrix[0, tokens:] *= 50
        alone, together = atsp.reduce(matrix[:1, :tokens, :tokens]), atsp.reduce(matrix, present)
    else:
        value, weight = torch.rand(2, 2, padded, generator=generator, dtype=torch.float64)
        value[0, tokens:] *= 50
        room = torch.tensor([1.0, 2.0], dtype=torch.float64)
        few = torch.ones(1, tokens, dtype=torch.bool)
        alone, _ = knapsack.among(value[:1, :tokens], weight[:1, :tokens], room[:1], few, None)
        together, _ = knapsack.among(value, weight, room, present, None)
    torch.testing.assert_close(together.features[:1, :tokens], alone.features)
    one, both = run(network, alone), run(network, together)
    torch.testing.assert_close(both.actions[:1, :tokens], one.actions, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(both.chosen[:1, :tokens], one.chosen, atol=1e-5, rtol=1e-5)
    assert bool((both.actions[0, tokens:] == -torch.inf).all())
    if one.edges is not None and both.edges is not None:
        torch.testing.assert_close(both.edges[:1, :tokens, :tokens], one.edges, atol=1e-5, rtol=1e-5)
        assert bool((both.edges[0, :, tokens:] == FAR).all())


def test_place_and_scale_of_the_plane_mean_nothing() -> None:
    network, xy = network_of("tsp"), torch.rand(3, 8, 2, generator=torch.Generator().manual_seed(0))
    before = run(network, tsp.reduce(xy))
    for other in (xy + torch.tensor([3.0, -1.0]), 700 * xy, 1e-3 * xy - 0.5):
        after = run(network, tsp.reduce(other))
        torch.testing.assert_close(after.actions, before.actions, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(after.edges, before.edges, atol=1e-3, rtol=1e-3)
    turned_around = run(network, tsp.reduce(-xy))
    assert float((turned_around.chosen - before.chosen).abs().max()) > 1e-2  # it is not blind


def test_the_unit_of_a_matrix_means_nothing() -> None:
    network, matrix = network_of("atsp"), torch.rand(2, 7, 7, generator=torch.Generator().manual_seed(0))
    before, after = run(network, atsp.reduce(matrix)), run(network, atsp.reduce(300 * matrix))
    torch.testing.assert_close(after.actions, before.actions, atol=1e-4, rtol=1e-4)


def test_the_bias_sees_direction() -> None:
    network = network_of("atsp", heads=8, width=64)
    distance = torch.rand(2, 5, 5, generator=torch.Generator().manual_seed(0))
    bias = network._bias(distance, None)
    assert bias is not None
    for head, slope in enumerate(SLOPES):
        expected = -slope * (distance.transpose(1, 2) if head % 2 else distance)
        torch.testing.assert_close(bias[:, head], expected)
    reduced = random_case("atsp", 7)
    assert reduced.distances is not None
    turned_over = reduced._replace(distances=reduced.distances.transpose(1, 2))
    before, after = run(network, reduced), run(network, turned_over)
    assert float((before.chosen - after.chosen).abs().max()) > 1e-4  # through attention alone
    plane = random_case("tsp", 7)
    assert plane.distances is not None
    network = network_of("tsp")
    after = run(network, plane._replace(distances=plane.distances.transpose(1, 2)))
    torch.testing.assert_close(after.actions, run(network, plane).actions)


def angles(batch: int, tokens: int, width: int, seed: int) -> torch.Tensor:
    return 10 * torch.rand(batch, tokens, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_turning_back_is_the_identity() -> None:
    angle = angles(2, 5, 6, 0)
    turn, x = Turn(angle.cos(), angle.sin()), angles(2, 5, 12, 1)
    torch.testing.assert_close(turned(turned(x, turn), turn.back()), x)
    torch.testing.assert_close(turned(x, turn).norm(dim=2), x.norm(dim=2))
    right_angle = Turn(torch.zeros(1, 1, 1), torch.ones(1, 1, 1))
    assert turned(torch.tensor([[[1.0, 0.0]]]), right_angle).tolist() == [[[0.0, 1.0]]]
    assert torch.equal(turn.times(2).cos, torch.cat([turn.cos, turn.cos], 2))


def test_scores_of_turned_pairs_depend_on_relative_positions_alone() -> None:
    network = network_of("tsp").double()
    place, q, k = angles(1, 6, 2, 0), angles(1, 6, 8, 1), angles(1, 6, 8, 2)

    def scores(place: torch.Tensor) -> torch.Tensor:
        turn = network._turn(place, torch.float64)
        return turned(q, turn) @ turned(k, turn).transpose(1, 2)

    moved = scores(place + torch.tensor([5.0, -2.0], dtype=torch.float64))
    torch.testing.assert_close(moved, scores(place))
    assert float((scores(2 * place) - moved).abs().max()) > 0.1
    assert network._turn(place, torch.float64).cos.shape == (1, 6, 4)  # half of a head: 8 numbers


@pytest.mark.parametrize("form", ["none", "heads", "padding"])
def test_attention_written_out_is_torchs(form: str) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 6, 8, generator=generator)
    bias = None
    if form == "heads":
        bias = torch.randn(2, 4, 6, 6, generator=generator)
    elif form == "padding":
        bias = torch.where(torch.rand(2, 1, 1, 6, generator=generator) < 0.5, FAR, 0.0)
    expected = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    torch.testing.assert_close(attention(q, k, v, bias), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("problem", ["tsp", "atsp", "kp"])
@pytest.mark.parametrize("tokens", [3, 8])
def test_gradients_are_finite(problem: str, tokens: int) -> None:
    """One candidate, or nodes that all lie in one place; and a row of padding beside them."""
    network, reduced = network_of(problem), random_case(problem, tokens)
    if tokens == 8 and problem == "tsp":
        reduced = tsp.reduce(torch.full((2, 8, 2), 0.3))
    if tokens == 8 and problem == "atsp":
        reduced = atsp.reduce(torch.zeros(2, 8, 8))
    present = torch.ones(2, tokens, dtype=torch.bool)
    present[1, 0 if problem == "kp" else 2 :] = False
    reduced = reduced._replace(present=present, allowed=reduced.allowed & present[:, :, None])
    scores: Scores = network(reduced)
    assert bool(scores.chosen.isfinite().all())
    loss = scores.actions[0].flatten().log_softmax(0).nan_to_num(neginf=0.0).sum() + scores.chosen.sum()
    if scores.edges is not None:
        loss = loss + scores.edges[0].log_softmax(1).sum()
    loss.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name


def test_distances_in_units_of_the_mean_way_to_the_nearest() -> None:
    place = torch.tensor([0.0, 1.0, 3.0, 1000.0])
    line = (place[:, None] - place).abs()[None]
    distance, unit = in_units(line[:, :3, :3], None)
    assert float(unit) == pytest.approx((1 + 1 + 2) / 3)
    torch.testing.assert_close(distance, line[:, :3, :3] * 3 / 4)
    present = torch.tensor([[True, True, True, False]])
    padded, same = in_units(line, present)
    assert float(same) == float(unit)
    torch.testing.assert_close(padded[:, :3, :3], distance)
    assert float(padded[0, 0, 3]) == LONGEST
    asymmetric = torch.tensor([[[0.0, 2.0], [4.0, 0.0]]])
    assert float(in_units(asymmetric, None)[1]) == 3.0
    lone, nothing = in_units(torch.zeros(1, 1, 1), None)
    assert bool(lone.isfinite().all())
    assert float(nothing) > 0


def test_the_sizes_are_what_they_are_said_to_be() -> None:
    def count(size: str) -> int:
        width, layers, heads, hidden = SIZES[size]
        network = network_of("tsp", width=width, layers=layers, heads=heads, hidden=hidden)
        return sum(parameter.numel() for parameter in network.parameters())

    assert count("small") == pytest.approx(0.8e6, rel=0.1)
    assert count("full") == pytest.approx(3.5e6, rel=0.1)


def test_what_is_hidden_is_neither_embedding_nor_score() -> None:
    names = [name for name, parameter in bq_cases.policy_of("tsp").named_parameters() if parameter.ndim == 2]
    others = {name for name in names if not BQNetwork.is_hidden(name)}
    assert others == {f"network.{name}.weight" for name in ("embed", "role", "score", "member")}
    assert sum("blocks." in name for name in names) == 2 * 4
