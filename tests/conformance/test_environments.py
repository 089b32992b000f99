"""Every environment that optgap registers keeps the same promises. A new id is tested by being registered."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode

import optgap  # noqa: F401  (registers the ids)
from optgap.co.core import PROBLEMS, InputError, InvalidActionError
from optgap.envs.registry import ENVIRONMENTS

IDS = sorted(name for name in gym.registry if name.startswith("optgap/"))
CONFIGS = [ENVIRONMENTS.load(name) for name in ENVIRONMENTS]
PROBLEM_OF = {config.id: PROBLEMS.load(config.problem) for config in CONFIGS if config.problem is not None}
ALIKE = {"optgap/DeepSea-v0", "optgap/GridMaze-v0", "optgap/PointMaze-v0"}  # every episode begins in the same state
LONGEST = 10_000  # steps of an episode that is taken to end

every_id = pytest.mark.parametrize("env_id", IDS)
every_optimization_id = pytest.mark.parametrize("env_id", [name for name in IDS if name in PROBLEM_OF])


def allowed_actions(env: Any) -> np.ndarray | None:
    """The mask of a single environment's action, None where every action is allowed."""
    masks = getattr(env.unwrapped, "action_masks", None)
    return None if masks is None else masks()


def choose(env: Any, rng: np.random.Generator) -> Any:
    """An allowed action, uniformly."""
    mask = allowed_actions(env)
    if mask is None:
        env.action_space.seed(int(rng.integers(2**31)))
        return env.action_space.sample()
    return np.int64(rng.choice(np.flatnonzero(mask)))


def play(env: Any, seed: int, steps: int = LONGEST) -> Iterator[tuple[Any, ...]]:
    """What ``reset`` and then every step answer, under a random policy that the seed determines."""
    rng = np.random.default_rng(seed)
    observation, info = env.reset(seed=seed)
    yield observation, info
    for _ in range(steps):
        answer = env.step(choose(env, rng))
        yield answer
        if answer[2] or answer[3]:
            return


@pytest.mark.filterwarnings("ignore:.*we recommend using a symmetric and normalized space")  # logits are no shares
@pytest.mark.filterwarnings("error")
@every_id
def test_gymnasium_finds_nothing_to_warn_of(env_id: str) -> None:
    env = gym.make(env_id, disable_env_checker=True).unwrapped
    step = env.step

    def with_mask(
        action: Any,
    ) -> Any:  # the checker samples actions and knows no masks, but takes no wrapped environment
        mask = allowed_actions(env)
        return step(action if mask is None or mask[action] or not mask.any() else np.int64(mask.argmax()))

    env.step = with_mask  # type: ignore[method-assign]
    check_env(env)


class AnyAction(gym.ActionWrapper[Any, Any, Any]):
    """Takes an allowed action in the place of a forbidden one, for checkers that know no masks."""

    def action(self, action: Any) -> Any:
        mask = allowed_actions(self)
        return action if mask is None or mask[action] or not mask.any() else np.int64(mask.argmax())


@pytest.mark.filterwarnings("ignore:Your observation .* has an unconventional shape")  # advice for its own networks
@pytest.mark.filterwarnings("ignore:We recommend you to use a symmetric and normalized Box")  # shares are no such thing
@pytest.mark.filterwarnings("ignore:It seems that your observation .* is an image")  # features x days x assets are none
@pytest.mark.filterwarnings("ignore:The minimal resolution for an image")  # likewise
@every_id
def test_stable_baselines3_accepts_it(env_id: str) -> None:
    from stable_baselines3.common.env_checker import check_env as check

    check(AnyAction(gym.make(env_id, disable_env_checker=True)), warn=True, skip_render_check=True)


@every_id
def test_the_passive_checker_finds_nothing_over_an_episode(env_id: str) -> None:
    for _ in play(gym.make(env_id), seed=3, steps=200):
        pass


@every_id
def test_the_specification_names_what_is_registered(env_id: str) -> None:
    spec = gym.spec(env_id)
    assert spec.max_episode_steps is None  # the environment itself says when an episode ends
    assert not spec.nondeterministic
    assert gym.make(env_id).spec.id == env_id
    assert gym.make_vec(env_id, 2, vectorization_mode="vector_entry_point").spec.id == env_id
    assert gym.envs.registration.EnvSpec.from_json(spec.to_json()) == spec
    documentation = type(gym.make(env_id).unwrapped).__doc__
    assert "## Version history" in documentation


@every_id
def test_seed_and_actions_determine_everything(env_id: str) -> None:
    first, second = (list(play(gym.make(env_id), seed=11)) for _ in range(2))
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert data_equivalence(a, b, exact=True)
    env = gym.make(env_id)
    alike = env_id in ALIKE
    assert data_equivalence(env.reset(seed=11)[0], env.reset(seed=12)[0], exact=True) == alike
    again = env.reset(seed=11)[0]
    assert data_equivalence(again, env.reset()[0], exact=True) == alike  # episodes differ without a seed


@every_id
def test_observations_and_masks_fit_their_spaces(env_id: str) -> None:
    env: Any = gym.make(env_id, disable_env_checker=True)
    for answer in play(env, seed=5):
        assert env.observation_space.contains(answer[0])
        mask = allowed_actions(env)
        if mask is not None:
            assert mask.dtype == np.bool_
            assert mask.shape == (env.action_space.n,)
            ended = len(answer) == 5 and (answer[2] or answer[3])
            assert mask.any() or ended


@every_id
def test_answers_are_the_callers_to_keep(env_id: str) -> None:
    kept, shown = [], []
    for answer in play(gym.make(env_id), seed=7, steps=20):
        kept.append(answer[0])
        shown.append(pickle.dumps(answer[0]))
    assert [pickle.dumps(observation) for observation in kept] == shown


@every_id
def test_pickles(env_id: str) -> None:
    env = gym.make(env_id)
    copy = pickle.loads(pickle.dumps(env))  # noqa: S301  (our own)
    for a, b in zip(play(env, seed=1, steps=20), play(copy, seed=1, steps=20), strict=True):
        assert data_equivalence(a, b, exact=True)


def test_a_worker_process_makes_every_id_without_importing_optgap() -> None:
    code = (
        "import sys, gymnasium as gym\n"
        "for name in sys.argv[1:]:\n"
        "    observation, _ = gym.make(f'optgap:{name}').reset(seed=4)\n"
        "    print(sum(float(v.sum()) for v in observation.values()) if isinstance(observation, dict)"
        " else float(observation.sum()))\n"
    )
    run = subprocess.run([sys.executable, "-c", code, *IDS], capture_output=True, text=True, check=True)
    for env_id, line in zip(IDS, run.stdout.split(), strict=True):
        observation, _ = gym.make(env_id).reset(seed=4)
        total = (
            sum(float(v.sum()) for v in observation.values()) if isinstance(observation, dict) else observation.sum()
        )
        assert float(line) == float(total)


@pytest.mark.slow
@every_id
def test_worker_processes_of_gymnasium_play_it(env_id: str) -> None:
    workers = gym.make_vec(env_id, 2, vectorization_mode="async", vector_kwargs={"context": "spawn"})
    try:
        observation, _ = workers.reset(seed=4)
        for i in range(2):
            assert data_equivalence(row(observation, i), gym.make(env_id).reset(seed=4 + i)[0], exact=True)
    finally:
        workers.close()


@pytest.mark.slow
def test_what_is_compiled_is_kept_for_the_next_process(tmp_path: Path) -> None:
    """Kernels that are compiled anew in every process cost seconds each time and fill the disk."""
    code = (
        "import sys, time, gymnasium as gym\n"
        "for name in sys.argv[1:]:\n"
        "    env = gym.make(f'optgap:{name}')\n"
        "    env.reset(seed=0)\n"
        "    mask = getattr(env.unwrapped, 'action_masks', None)\n"
        "    env.step(env.action_space.sample() if mask is None else mask().argmax())\n"
    )
    files = []
    for _ in range(2):
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
        subprocess.run([sys.executable, "-c", code, *IDS], check=True, env=environment)
        files.append(sorted((file, file.stat().st_mtime_ns) for file in tmp_path.rglob("*.nbc")))
    assert files[0] == files[1]


@every_id
def test_the_vector_environment_equals_single_ones_seeded_in_a_row(env_id: str) -> None:
    copies, seed, steps = 3, 17, 410
    vector = gym.make_vec(env_id, copies, vectorization_mode="vector_entry_point")
    singles: list[Any] = [gym.make(env_id) for _ in range(copies)]
    assert vector.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert vector.single_observation_space == singles[0].observation_space
    assert vector.single_action_space == singles[0].action_space
    rng = np.random.default_rng(0)
    batch, _ = vector.reset(seed=seed)
    found = [env.reset(seed=seed + i)[0] for i, env in enumerate(singles)]
    ended = np.zeros(copies, np.bool_)
    episodes = 0
    for step in range(LONGEST):
        if step >= steps and episodes >= 2 * copies:
            break
        assert vector.observation_space.contains(batch)
        for i in range(copies):
            assert data_equivalence(row(batch, i), found[i], exact=True)
        masks = getattr(vector.unwrapped, "action_masks", None)
        if masks is not None:
            np.testing.assert_array_equal(masks(), [allowed_actions(env) for env in singles])
        # the action of a copy that is reset is ignored, even a forbidden one
        forbidden = np.full(vector.action_space.shape[1:], -1)
        actions = np.array([forbidden if ended[i] else choose(env, rng) for i, env in enumerate(singles)])
        batch, rewards, terminated, truncated, info = vector.step(actions)
        for i, env in enumerate(singles):
            if ended[i]:
                answer: Any = env.reset()[0], 0.0, False, False, {}
            else:
                answer = env.step(actions[i])
            found[i], reward, stop, cut, single_info = answer
            assert (rewards[i], terminated[i], truncated[i]) == (reward, stop, cut)
            if "cost" in single_info:
                np.testing.assert_array_equal(info["cost"][i], single_info["cost"])
                assert info["cost"].dtype == np.float64
                assert info["cost"].shape == (copies, len(env.unwrapped.cost_names))
            if "solution" in single_info:
                assert info["_solution"][i]
                np.testing.assert_array_equal(info["solution"][i], single_info["solution"])
            elif "_solution" in info:
                assert not info["_solution"][i]
            ended[i] = stop or cut
            episodes += ended[i]
    assert episodes >= 2 * copies


def row(batch: Any, i: int) -> Any:
    """Observation ``i`` of a batch."""
    return {key: row(value, i) for key, value in batch.items()} if isinstance(batch, dict) else batch[i]


@every_id
def test_a_forbidden_action_is_an_error_and_changes_nothing(env_id: str) -> None:
    env: Any = gym.make(env_id)
    untouched = gym.make(env_id)
    if allowed_actions(env) is None:
        pytest.skip("every action is allowed")
    rng = np.random.default_rng(0)
    env.reset(seed=2)
    untouched.reset(seed=2)
    for _ in range(40):
        mask = allowed_actions(env)
        for action in [*np.flatnonzero(~mask)[:3], -1, env.action_space.n, 10**12, 0.0, "0", None, [0]]:
            with pytest.raises(InvalidActionError) as error:
                env.unwrapped.step(action)
            assert "\n" not in str(error.value)
        action = choose(env, rng)
        a, b = env.step(action), untouched.step(action)
        assert data_equivalence(a, b, exact=True)
        if a[2] or a[3]:
            break


@every_id
def test_a_forbidden_action_in_one_copy_moves_no_copy(env_id: str) -> None:
    vector, untouched = (gym.make_vec(env_id, 3, vectorization_mode="vector_entry_point") for _ in range(2))
    if not hasattr(vector.unwrapped, "action_masks"):
        pytest.skip("every action is allowed")
    vector.reset(seed=2)
    untouched.reset(seed=2)
    for _ in range(20):
        masks = vector.unwrapped.action_masks()
        good = masks.argmax(1)
        for copy in np.flatnonzero(masks.any(1)):  # where an episode has just ended every action is ignored
            wrong = good.copy()
            wrong[copy] = masks[copy].argmin() if not masks[copy].all() else -1
            with pytest.raises(InvalidActionError, match=f"copy {copy}"):
                vector.step(wrong)
        for malformed in (good[:2], good[:, None], good.astype(float), None, [None] * 3):
            with pytest.raises(InvalidActionError):
                vector.step(malformed)
        assert data_equivalence(vector.step(good), untouched.step(good), exact=True)


@every_id
def test_a_step_without_an_episode_is_gymnasiums_own_error(env_id: str) -> None:
    env = gym.make(env_id).unwrapped
    with pytest.raises(gym.error.ResetNeeded):
        env.step(0)
    for _ in play(env, seed=0):
        pass
    with pytest.raises(gym.error.ResetNeeded):
        env.step(0)
    with pytest.raises(gym.error.ResetNeeded):
        gym.make_vec(env_id, 2, vectorization_mode="vector_entry_point").unwrapped.step(np.zeros(2, np.int64))


@every_id
def test_an_unknown_argument_is_one_line_that_lists_the_known_ones(env_id: str) -> None:
    for make in (
        lambda: gym.make(env_id, no_such_argument=1),
        lambda: gym.make_vec(env_id, 2, vectorization_mode="vector_entry_point", no_such_argument=1),
    ):
        with pytest.raises(InputError, match=r"no_such_argument.*known") as error:
            make()
        assert "\n" not in str(error.value)


@every_optimization_id
@pytest.mark.parametrize("seed", range(5))
def test_the_return_is_the_cost_and_the_solution_passes_the_check(env_id: str, seed: int) -> None:
    problem = PROBLEM_OF[env_id]
    config = next(c for c in CONFIGS if c.problem == problem.name)
    instance = problem.generate(np.random.default_rng(seed))
    env = config().make(instances=[instance])  # the configuration that `env=<name>` means
    plain = gym.make(env_id, instances=[instance])
    for each in (env, plain):
        answers = list(play(each, seed))
        *_, (_, _, terminated, truncated, info) = answers
        assert terminated
        assert not truncated
        total = sum(answer[1] for answer in answers[1:])
        problem.check(instance, info["solution"])
        sign = -1.0 if problem.sense == "minimize" else 1.0
        # exact for whole numbers; lengths are summed in another order than by the problem
        assert total == pytest.approx(sign * problem.cost(instance, info["solution"]), rel=1e-12, abs=0.0)
