"""The scheduling network: what its scores may and may not depend on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from optgap.agents.common.tensors import to_tensors
from optgap.agents.nn.job_shop import JobShopActorCritic, JobShopNetworkConfig
from optgap.co.core import InputError
from optgap.co.problems.job_shop import JOB_SHOP, JobShopInstance
from optgap.envs.scheduling.config import BlockingJobShopConfig, JobShopConfig, JobShopOptions
from optgap.envs.scheduling.env import JobShopEnv

LOWEST = torch.finfo(torch.float32).min


def network(seed: int = 0, **sizes: int) -> JobShopActorCritic:
    face = JobShopOptions(jobs=2, machines=2).batch(1)
    config = JobShopNetworkConfig(**({"width": 16, "layers": 2, "hidden": 24} | sizes))
    torch.manual_seed(seed)
    return JobShopActorCritic(face.observation_space(), face.action_space(), config)


def ragged(seed: int, jobs: int = 4, machines: int = 3) -> JobShopInstance:
    """Jobs of unequal length with recirculation and release dates."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 6, jobs)
    return JobShopInstance(
        job_ptr=np.concatenate([[0], np.cumsum(lengths)]),
        machine=rng.integers(0, machines, lengths.sum()),
        duration=rng.integers(1, 30, lengths.sum()),
        release=rng.integers(0, 20, jobs),
        n_machines=machines,
    )


def seen(instance: JobShopInstance, dispatched: list[int], **options: Any) -> dict[str, np.ndarray]:
    """The observation after the jobs ``dispatched``."""
    env = JobShopEnv(**options)
    observation, _ = env.reset(options={"instance": instance})
    for action in dispatched:
        observation, *_ = env.step(action)
    return observation


def batch(*observations: dict[str, np.ndarray]) -> Any:
    return to_tensors({key: np.stack([o[key] for o in observations]) for key in observations[0]}, "cpu")


def judge(policy: JobShopActorCritic, *observations: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    with torch.no_grad():
        logits, values = policy(batch(*observations))
    return logits.numpy(), values.numpy()


def first_candidates(instance: JobShopInstance, steps: int) -> list[int]:
    env = JobShopEnv(instances=[instance])
    env.reset()
    taken = []
    for _ in range(steps):
        taken.append(int(np.flatnonzero(env.action_masks())[-1]))
        env.step(taken[-1])
    return taken


@pytest.mark.parametrize("seed", range(4))
def test_padding_changes_nothing(seed: int) -> None:
    instance, policy = ragged(seed), network()
    for steps in (0, 2):
        taken = first_candidates(instance, steps)
        jobs, operations, machines = instance.n_jobs, instance.n_operations, instance.n_machines
        tight = seen(instance, taken, padding=(jobs, operations, machines))
        wide = seen(instance, taken, padding=(jobs + 3, operations + 7, machines + 2))
        (logits, value), (padded, padded_value) = judge(policy, tight), judge(policy, wide)
        np.testing.assert_allclose(padded[:, :jobs], logits, rtol=1e-4, atol=1e-5)
        assert (padded[:, jobs:] == LOWEST).all()
        np.testing.assert_allclose(padded_value, value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_a_permutation_of_the_jobs_permutes_the_scores_and_names_of_machines_mean_nothing(seed: int) -> None:
    instance, policy, rng = ragged(seed), network(), np.random.default_rng(seed)
    order, names = rng.permutation(instance.n_jobs), rng.permutation(instance.n_machines)
    parts = [np.arange(instance.job_ptr[j], instance.job_ptr[j + 1]) for j in order]
    permuted = JobShopInstance(
        job_ptr=np.cumsum([0, *map(len, parts)]),
        machine=names[instance.machine[np.concatenate(parts)]],
        duration=instance.duration[np.concatenate(parts)],
        release=instance.release[order],
        n_machines=instance.n_machines,
    )
    place = np.argsort(order)  # where each job went
    for steps in (0, 3):
        taken = first_candidates(instance, steps)
        options = {"padding": (instance.n_jobs, instance.n_operations, instance.n_machines)}
        logits, value = judge(policy, seen(instance, taken, **options))
        other, other_value = judge(policy, seen(permuted, [int(place[j]) for j in taken], **options))
        np.testing.assert_allclose(other[:, place], logits, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(other_value, value, rtol=1e-4, atol=1e-5)


def test_a_row_is_judged_alike_alone_and_in_a_batch() -> None:
    policy = network()
    options = {"padding": (4, 20, 3)}
    rows = [
        seen(ragged(seed), first_candidates(ragged(seed), steps), **options) for seed in range(3) for steps in (0, 1)
    ]
    together, values = judge(policy, *rows)
    for i, each in enumerate(rows):
        alone, value = judge(policy, each)
        np.testing.assert_allclose(together[i], alone[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(values[i], value[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_shops_that_differ_in_their_machines_alone_are_told_apart(training: bool) -> None:
    # All durations are 5, and every machine has three operations, one of them the last of its job.
    machines = [[[0, 0, 0], [1, 1, 1], [2, 2, 2]], [[0, 1, 0], [0, 1, 1], [2, 2, 2]]]
    rows = [seen(JobShopInstance.from_matrix(m, np.full((3, 3), 5)), []) for m in machines]
    np.testing.assert_array_equal(rows[0]["route"], rows[1]["route"])
    policy = network().train(training)
    with torch.no_grad():
        encodings = [policy._encode(batch(row))[0].clone() for row in rows]
        assert (encodings[0] - encodings[1]).abs().max() > 1e-3
        together, instance = policy._encode(batch(*rows))
    for i in range(2):
        torch.testing.assert_close(together[instance[i]], encodings[i][0], rtol=1e-4, atol=1e-5)


def test_acting_with_kept_encodings_equals_a_network_without_memory() -> None:
    """Over episodes that end and begin at different moments, and across a change of the weights."""
    keeping, forgetful = network().eval(), network().train()
    vector: Any = JobShopOptions(jobs=(2, 4), machines=(1, 3)).make_vec(5)
    observation, _ = vector.reset(seed=0)
    for step in range(60):
        tensors = to_tensors(observation, "cpu")
        with torch.no_grad():
            kept, fresh = keeping(tensors), forgetful(tensors)
        torch.testing.assert_close(kept, fresh, rtol=1e-4, atol=1e-5)
        if step == 30:
            state = network(seed=1).state_dict()
            keeping.load_state_dict(state)
            forgetful.load_state_dict(state)
        observation, *_ = vector.step(vector.unwrapped.action_masks().argmax(1))
    keeping.train()
    assert keeping._kept is None  # training changes the weights


def test_forbidden_actions_have_the_lowest_score_and_an_ended_row_is_finite() -> None:
    policy = network()
    row = seen(ragged(0), first_candidates(ragged(0), 2), padding=(4, 20, 3), wait=True)
    logits, _ = judge(policy, row)
    np.testing.assert_array_equal(logits[0] == LOWEST, row["action_mask"] == 0)
    instance = ragged(0)
    ended = seen(instance, first_candidates(instance, instance.n_operations), padding=(4, 20, 3), wait=True)
    assert not ended["action_mask"].any()
    logits, value = judge(policy, ended, row)
    assert np.isfinite(value).all()
    assert (logits[0] == LOWEST).all()


def test_every_weight_learns() -> None:
    policy = network()
    rows = [seen(ragged(s), first_candidates(ragged(s), 2), padding=(4, 20, 3), wait=True) for s in range(4)]
    assert any(row["action_mask"][4] for row in rows)  # waiting is possible somewhere
    logits, values = policy(batch(*rows))
    masks = torch.from_numpy(np.stack([row["action_mask"] for row in rows])) > 0
    (logits[masks] ** 2).sum().backward(retain_graph=True)
    values.sum().backward()
    for name, parameter in policy.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("config", [JobShopConfig, BlockingJobShopConfig])
def test_one_set_of_weights_serves_all_sizes_and_both_problems(config: Any) -> None:
    policy = network()
    for jobs, machines in ((1, 1), (2, 7), (9, 2)):
        observation, _ = config(jobs=jobs, machines=machines).make().reset(seed=0)
        logits, values = judge(policy, observation)
        assert logits.shape == (1, len(observation["action_mask"]))
        assert np.isfinite(values).all()


def test_without_layers_the_encoder_still_reads_the_operation() -> None:
    policy = network(layers=0)
    rows = [seen(JOB_SHOP.generate(np.random.default_rng(s), jobs=3, machines=2), []) for s in range(2)]
    logits, _ = judge(policy, *rows)
    assert np.isfinite(logits).all()


def test_an_observation_without_a_graph_of_operations_is_one_line() -> None:
    with pytest.raises(InputError, match="reads the observation's 'shop'"):
        JobShopActorCritic(spaces.Dict({"jobs": spaces.Discrete(2)}), spaces.Discrete(2))


@pytest.mark.parametrize("wrong", [{"width": 0}, {"layers": -1}, {"hidden": 0}], ids=str)
def test_wrong_sizes_are_one_line(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        JobShopNetworkConfig(**wrong)
