"""Draw an episode of an environment: a picture of its end (.png) or an animation (.gif).

    python scripts/render.py env=jssp policy=mwkr out=schedule.gif
    python scripts/render.py env=isbjssp policy=random instance=blocking-6x6-p10-s0 out=schedule.png
    python scripts/render.py env=tsp policy=scip instance=uniform-20-s0 out=tour.gif
    python scripts/render.py env=gym env.id=CartPole-v1 policy=runs/gym/ppo/20260101-120000 out=pole.gif

`policy` is random, trained weights, or a solver of the environment's problem. Solutions of a problem are replayed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from omegaconf import MISSING
from rich.console import Console
from rich.text import Text

import cli
from drawing import require_writable
from naming import find_agent, find_solver
from optgap.agents.common.contracts import Agent
from optgap.agents.common.weights import weights_folder
from optgap.co.benchmark.collections import COLLECTIONS, load_instances
from optgap.co.core import PROBLEMS, Budget, InputError, Instance, solve
from optgap.co.formats.files import write_whole
from optgap.envs.registry import ENVIRONMENTS
from returns import plain

Frame = NDArray[np.uint8]
Choose = Callable[[Any, Any], Any]  # (observation, masks or None) -> action


@dataclass
class RenderConfig:
    """What can be said on the command line."""

    env: Any = "jssp"
    policy: str = "random"
    instance: str | None = None  # of the environment's problem; None: a well-known one
    out: str = MISSING  # .png or .gif
    seed: int = 0
    seconds: float = 10.0  # budget of a solver
    frames: int = 200  # at most; a longer episode is thinned out
    milliseconds: int = 100  # a frame
    plugins: Any = field(default_factory=list)  # packages to import first


def main(argv: list[str]) -> int:
    config = cli.parse(
        RenderConfig, argv, groups={"env": ENVIRONMENTS.load}, about=f"{__doc__}\nenv: {', '.join(ENVIRONMENTS)}"
    )
    require_writable(config.out, (".png", ".gif"))
    if config.frames < 1 or config.milliseconds < 1:
        raise InputError(f"frames {config.frames}, milliseconds {config.milliseconds}; expected at least 1")
    cli.limit_threads(1)
    agent = find_agent(config.policy) if weights_folder(config.policy) is not None else None
    if agent is not None and type(plain(agent.env_config)) is not type(config.env):
        raise InputError(
            f"policy={config.policy}: trained on {type(plain(agent.env_config)).__name__}; expected that env"
        )
    env_config = config.env if agent is None else agent.env_config  # weights fit the environment of their training
    problem: str = env_config.problem or ""
    instance: Instance | None = None
    if problem in COLLECTIONS:
        name = config.instance or COLLECTIONS.load(problem).showcase[0]
        instance = load_instances(problem, [name])[0]
    elif config.instance is not None:
        raise InputError(f"instance={config.instance}: this environment plays no named instances")
    env = _with_frames(env_config, instance)
    choose, cost = _policy(config, env, agent, instance)

    frames, every, total, info = [], 1, 0.0, {}
    try:
        for step, (over, reward, last) in enumerate(_episode(env, choose, config.seed)):
            if over or step % every == 0:
                frames.append(env.render())
            if len(frames) > 2 * config.frames:  # all of an episode of thousands of steps would fill the memory
                frames, every = frames[::2], 2 * every
            total += reward
            info = last
    except gym.error.Error as error:  # for instance a drawing library that is not installed
        raise InputError(f"{type(config.env).__name__} cannot be drawn: {error}") from None
    if len(frames) > config.frames:
        keep = np.unique(np.linspace(0, len(frames) - 1, config.frames).astype(int))
        frames = [frames[index] for index in keep]
    write_whole(Path(config.out), lambda stream: _save(frames, stream, config.milliseconds, config.out))
    console = Console()
    if instance is not None and "solution" in info:
        definition = PROBLEMS.load(problem)
        definition.check(instance, info["solution"])
        played = definition.cost(instance, info["solution"])
        console.print(Text(f"cost     {played:.12g}  (checked, {instance.name}, {config.policy})"))
        if cost is not None and not math.isclose(cost, played, rel_tol=1e-9):
            console.print(
                Text(f"note     the solver's solution costs {cost:.12g}; this environment cannot replay it exactly")
            )
    else:
        console.print(Text(f"return   {total:.12g}  ({config.policy}, seed {config.seed})"))
    console.print(Text(f"drawn    {config.out}  ({len(frames)} frames)"))
    return 0


def _with_frames(env_config: Any, instance: Instance | None) -> Any:
    """The environment with ``render_mode="rgb_array"``.

    Raises:
        InputError: it has no such mode.
    """
    overrides: dict[str, Any] = {"instances": [instance]} if instance is not None else {}
    if hasattr(env_config, "autoplay"):
        overrides["autoplay"] = False  # a frame a decision, forced ones included
    try:
        env = env_config.make(render_mode="rgb_array", **overrides)
    except TypeError as error:
        raise InputError(f"{type(env_config).__name__} cannot be drawn: {error}") from None
    if "rgb_array" not in env.metadata.get("render_modes", []):
        raise InputError(f"{type(env_config).__name__} cannot be drawn: it has no render mode rgb_array")
    return env


def _policy(
    config: RenderConfig, env: Any, agent: Agent | None, instance: Instance | None
) -> tuple[Choose, float | None]:
    """How to act, and the cost of the solution that is replayed, if one is."""
    by_start = isinstance(env.observation_space, gym.spaces.Dict) and "next_operation" in env.observation_space.spaces
    actions_of = getattr(
        getattr(env.unwrapped, "batch", None), "actions", None
    )  # solution -> the actions that build it
    replayable = by_start or actions_of is not None
    if agent is not None and (instance is None or not replayable):
        return (lambda observation, masks: agent.predict(observation, masks, deterministic=True)[0]), None
    if config.policy == "random":
        return _random_policy(env, np.random.default_rng(config.seed)), None
    baselines: Mapping[str, Any] = getattr(config.env, "baselines", dict)()
    if config.policy in baselines:
        rule = baselines[config.policy]
        return (lambda observation, masks: rule(np.asarray(observation)[None], masks)[0]), None
    if instance is None:
        known = "".join(f", {name}" for name in baselines)
        raise InputError(f"policy={config.policy}: expected random{known} or trained weights (a run folder)")
    if not replayable:
        raise InputError(
            f"policy={config.policy}: this environment replays no solutions; expected random or trained weights"
        )
    problem = config.env.problem
    budget = Budget(config.seconds, 1, config.seed)
    result = solve(find_solver(problem, config.policy), PROBLEMS.load(problem), instance, budget)
    if result.solution is None:
        raise InputError(f"policy={config.policy}: no solution of {instance.name} in {config.seconds:g} s")
    if actions_of is None:
        return _replay_schedule(result.solution), result.cost
    return _replay(actions_of(instance, result.solution)), result.cost


def _random_policy(env: Any, rng: np.random.Generator) -> Choose:
    def choose(observation: Any, masks: Any) -> Any:
        if masks is not None:
            return int(rng.choice(np.flatnonzero(masks)))
        return env.action_space.sample()

    env.action_space.seed(int(rng.integers(2**31)))
    return choose


def _replay(actions: list[int]) -> Choose:
    """Take ``actions`` in order; whatever is allowed where a solution ends before the episode does."""
    queue = iter(actions)
    return lambda observation, masks: next(queue, int(np.argmax(masks)))


def _replay_schedule(start: NDArray[np.int64]) -> Choose:
    """Dispatch the jobs in the order of a schedule's start times, (N,)."""

    def choose(observation: Any, masks: Any) -> Any:
        allowed = np.flatnonzero(masks[: len(observation["next_operation"])])
        return int(allowed[np.argmin(start[observation["next_operation"][allowed]])])

    return choose


def _episode(env: Any, choose: Choose, seed: int) -> Iterator[tuple[bool, float, dict[str, Any]]]:
    """Whether the episode is over, the reward that led there, and the info: of the start and of each step."""
    observation, info = env.reset(seed=seed)
    yield False, 0.0, info
    over = False
    while not over:
        masks = env.get_wrapper_attr("action_masks")() if env.has_wrapper_attr("action_masks") else None
        observation, reward, terminated, truncated, info = env.step(choose(observation, masks))
        over = terminated or truncated
        yield over, float(reward), info
    env.close()


def _save(frames: list[Frame], stream: Any, milliseconds: int, name: str) -> None:
    from PIL import Image

    images = [Image.fromarray(frame) for frame in frames]
    if Path(name).suffix == ".png":
        images[-1].save(stream, format="PNG")
        return
    images = [image.resize(images[0].size) for image in images]  # a last frame may be drawn in another size
    durations = [milliseconds] * (len(images) - 1) + [max(milliseconds, 2000)]
    images[0].save(stream, format="GIF", save_all=True, append_images=images[1:], duration=durations, loop=0)


if __name__ == "__main__":
    cli.run(main)
