"""Fast rollouts against the plain ways to the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from optgap.agents.common.tensors import to_tensors
from optgap.agents.nn.job_shop import JobShopActorCritic, JobShopNetworkConfig
from optgap.agents.nn.job_shop_rollout import Decisions, batch_of, encode, log_probability, play, record
from optgap.co.core import PROBLEMS
from optgap.envs.scheduling.config import BlockingJobShopConfig, JobShopConfig, JobShopOptions

CPU = torch.device("cpu")
CONFIGS = {
    "active": JobShopConfig(jobs=(2, 5), machines=(2, 4)),
    "non-delay": JobShopOptions(jobs=(2, 5), machines=(2, 4)),
    "wait": JobShopOptions(jobs=(2, 5), machines=(2, 4), wait=True),
    "blocking": BlockingJobShopConfig(jobs=(2, 5), machines=(2, 4)),
}
every_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())


@pytest.fixture(scope="module")
def policy() -> JobShopActorCritic:
    torch.manual_seed(0)
    sizes = JobShopNetworkConfig(width=16, layers=2, hidden=24)
    face = CONFIGS["active"].batch(1)
    made = JobShopActorCritic(face.observation_space(), face.action_space(), sizes)
    with torch.no_grad():  # far from uniform, so that a wrong score would change a choice
        for parameter in made.network.score_out.parameters():
            parameter.mul_(4)
    return made.eval()


def instances_of(config: Any, count: int, seed: int = 0) -> list[Any]:
    draw, rng = config.source(), np.random.default_rng(seed)
    return [draw(rng) for _ in range(count)]


@every_config
def test_the_greedy_rollout_is_the_environment_under_the_greedy_policy(config: Any, policy: JobShopActorCritic) -> None:
    instances = instances_of(config, 6)
    batch = batch_of(config, instances, 1)
    actions = play(policy.network, batch, 1, CPU, greedy=True)
    assert actions.shape[1] == 6
    problem = PROBLEMS.load(config.problem)
    for b, instance in enumerate(instances):
        env = config.make(instances=[instance])
        observation, info = env.reset()
        done, taken = False, []
        while not done:
            row = to_tensors({key: value[None] for key, value in observation.items()}, "cpu")
            with torch.no_grad():
                action = int(policy(row)[0].argmax())
            wait = action == instance.n_jobs
            taken.append(batch.jobs if wait else action)  # waiting comes after the last padded job
            observation, _, done, _, info = env.step(action)
        assert actions[: len(taken), b].tolist() == taken
        assert (actions[len(taken) :, b] == -1).all()
        np.testing.assert_array_equal(batch.solution(b), info["solution"])
        problem.check(instance, batch.solution(b))
        assert batch.state.makespan[b] == problem.cost(instance, batch.solution(b))


@every_config
def test_log_probabilities_are_those_of_a_dense_softmax(config: Any, policy: JobShopActorCritic) -> None:
    instances = instances_of(config, 4)
    batch = batch_of(config, instances, 3)
    generator = torch.Generator().manual_seed(1)
    actions = play(policy.network, batch, 3, CPU, generator=generator)
    again = batch_of(config, instances, 3)
    encoded = encode(policy.network, again, 3, CPU)
    decisions, taken, copy = record(again, actions, CPU, 3)
    np.testing.assert_array_equal(again.state.start, batch.state.start)
    found = log_probability(policy.network, encoded, decisions, taken, again.jobs).detach()
    # the same from whole observations: step copy by copy, softmax over all actions
    expected: dict[int, list[float]] = {}
    for b in range(12):
        env = config.make(instances=[instances[b // 3]], padding=(again.jobs, again.operations, again.machines))
        observation, _ = env.reset()
        expected[b] = []
        for action in actions[:, b][actions[:, b] >= 0]:
            row = to_tensors({key: value[None] for key, value in observation.items()}, "cpu")
            with torch.no_grad():
                expected[b].append(torch.log_softmax(policy(row)[0].double(), 1)[0, action].item())
            observation, *_ = env.step(action)
    for b in range(12):
        np.testing.assert_allclose(found[copy == b].numpy(), expected[b], rtol=1e-4, atol=1e-5)
    assert len(found) == (actions >= 0).sum()


def test_gradients_are_those_of_a_dense_softmax(policy: JobShopActorCritic) -> None:
    config = CONFIGS["wait"]
    instances = instances_of(config, 3)
    actions = play(policy.network, batch_of(config, instances, 1), 1, CPU, generator=torch.Generator().manual_seed(0))
    batch = batch_of(config, instances, 1)
    encoded = encode(policy.network, batch, 1, CPU)
    decisions, taken, _ = record(batch, actions, CPU)
    assert ((taken == batch.jobs) & decisions.wait).any()
    loss = -log_probability(policy.network, encoded, decisions, taken, batch.jobs).mean()
    found = torch.autograd.grad(loss, list(policy.network.encoder.parameters()), allow_unused=True)
    terms = []
    for b, instance in enumerate(instances):
        env = config.make(instances=[instance], padding=(batch.jobs, batch.operations, batch.machines))
        observation, _ = env.reset()
        for action in actions[:, b][actions[:, b] >= 0].tolist():
            row = to_tensors({key: value[None] for key, value in observation.items()}, "cpu")
            logits, _ = policy.train()(row)
            terms.append(-torch.log_softmax(logits, 1)[0, action])
            observation, *_ = env.step(action)
    policy.eval()
    expected = torch.autograd.grad(
        torch.stack(terms).mean(), list(policy.network.encoder.parameters()), allow_unused=True
    )
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_samples_follow_the_softmax(policy: JobShopActorCritic, temperature: float) -> None:
    config, copies = CONFIGS["non-delay"], 6000
    instance = instances_of(config, 4, seed=3)[-1]
    batch = batch_of(config, [instance], copies)
    logits = policy(to_tensors({key: value[:1] for key, value in batch.observation().items()}, "cpu"))[0].detach()
    expected = torch.softmax(logits.double() / temperature, 1)[0].numpy()
    generator = torch.Generator().manual_seed(0)
    first = play(policy.network, batch, copies, CPU, temperature=temperature, generator=generator)[0]
    found = np.bincount(first, minlength=batch.jobs) / copies
    assert (expected > 0.02).sum() >= 3
    np.testing.assert_allclose(found, expected, atol=4 * np.sqrt(0.25 / copies))


@every_config
def test_instances_do_not_influence_each_other(config: Any, policy: JobShopActorCritic) -> None:
    instances = instances_of(config, 5)
    together = batch_of(config, instances, 2)
    play(policy.network, together, 2, CPU, greedy=True)
    for i, instance in enumerate(instances):
        alone = batch_of(config, [instance], 1)
        play(policy.network, alone, 1, CPU, greedy=True)
        for copy in (2 * i, 2 * i + 1):
            np.testing.assert_array_equal(together.solution(copy), alone.solution(0))


def test_the_generator_alone_determines_the_samples(policy: JobShopActorCritic) -> None:
    instances = instances_of(CONFIGS["active"], 2)
    played = []
    for seed in (0, 0, 1):
        batch = batch_of(CONFIGS["active"], instances, 8)
        torch.rand(3)  # the global generator plays no part
        played.append(play(policy.network, batch, 8, CPU, generator=torch.Generator().manual_seed(seed)))
    np.testing.assert_array_equal(played[0], played[1])
    assert played[0].shape != played[2].shape or (played[0] != played[2]).any()


def test_joined_decisions_keep_their_rows() -> None:
    config = CONFIGS["wait"]
    batches = [batch_of(config, instances_of(config, 2, seed), 1) for seed in range(2)]
    parts = [Decisions.of(batch, np.arange(2), 1, CPU) for batch in batches]
    joined = Decisions.join(parts)
    first = len(parts[0].row)
    torch.testing.assert_close(joined.row[first:] - 2, parts[1].row)
    torch.testing.assert_close(joined.jobs[first:], parts[1].jobs)
    assert len(joined.instance) == len(joined.wait) == len(joined.shop) == 4


@every_config
def test_the_best_of_the_copies_is_returned(config: Any, policy: JobShopActorCritic) -> None:
    instance = instances_of(config, 1, seed=5)[0]
    problem = PROBLEMS.load(config.problem)
    cost, solution = policy.play_copies(config, instance, 20, False, 1.0, torch.Generator().manual_seed(2))
    problem.check(instance, solution)
    batch = batch_of(config, [instance], 20)
    play(policy.network, batch, 20, CPU, generator=torch.Generator().manual_seed(2))
    assert cost == problem.cost(instance, solution) == batch.state.makespan.min()
