"""Network slicing small enough to be solved exactly: the model, its simulation, and the two environments over it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from numbers import Real
from typing import Any, ClassVar, NamedTuple, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from optgap.co.core import InputError, InvalidActionError
from optgap.co.exact.constrained_mdp import ConstrainedOptimum, solve_constrained_mdp
from optgap.envs.batched import MadeById, batch_from
from optgap.envs.slicing.baselines import OptimalPolicy, Policy

F8 = NDArray[np.float64]

ROOM = 4  # packets that a queue holds
BURST = 3  # sources a slice: at most so many packets arrive in a slot
UNITS = (1, 3)  # service units of a slot in the bad and in the good channel state
STAYS = (0.8, 0.9)  # probability that the bad, the good state lasts another slot
WEIGHTS = (2.0, 1.0)  # reward of a served packet of each slice
NAMES = ("latency/urllc", "drop/video")
STATES, ACTIONS = 2 * (ROOM + 1) ** 2, UNITS[1] + 1


class TinyModel(NamedTuple):
    """The constrained decision process, N = 50 states, A = 4 actions, m = 2 constraints; all arrays float64.

    State (q0, q1, good) has number (5 q0 + q1) 2 + good.
    """

    P: F8  # (A, N, N) probability of the next state
    r: F8  # (N, A) expected reward
    c: F8  # (m, N, A) expected costs
    limits: F8  # (m,) of the mean costs per step
    start: F8  # (N,) distribution of an episode's first state


def states_of(observation: NDArray[Any]) -> NDArray[np.int64]:
    """Numbers of the states (...,) that observations (..., 3) show."""
    q = np.rint(observation[..., :2] * ROOM).astype(np.int64)
    found: NDArray[np.int64] = (q[..., 0] * (ROOM + 1) + q[..., 1]) * 2 + (observation[..., 2] > 0.5)
    return found


def _arrival_shares(rate: float) -> list[float]:
    """Probabilities of 0 to BURST packets: binomial, ``rate`` packets a slot on average."""
    p = rate / BURST
    return [comb(BURST, k) * p**k * (1 - p) ** (BURST - k) for k in range(BURST + 1)]


@lru_cache(maxsize=16)
def _dynamics(arrivals: tuple[float, float]) -> tuple[F8, F8, F8]:
    """P, r and c, by enumeration of what can happen in a slot; read-only."""
    shares = [_arrival_shares(rate) for rate in arrivals]
    P, r = np.zeros((ACTIONS, STATES, STATES)), np.zeros((STATES, ACTIONS))
    c = np.zeros((len(NAMES), STATES, ACTIONS))
    for s, (q0, q1, good) in enumerate(itertools.product(range(ROOM + 1), range(ROOM + 1), (0, 1))):
        for a in range(ACTIONS):
            first = min(a, UNITS[good])
            served0, served1 = min(q0, first), min(q1, UNITS[good] - first)
            r[s, a] = WEIGHTS[0] * served0 + WEIGHTS[1] * served1
            c[0, s, a] = q0 / arrivals[0]
            for k0, k1, after in itertools.product(range(BURST + 1), range(BURST + 1), (0, 1)):
                p = shares[0][k0] * shares[1][k1] * (STAYS[good] if after == good else 1 - STAYS[good])
                n0, n1 = q0 - served0 + k0, q1 - served1 + k1
                P[a, s, (min(n0, ROOM) * (ROOM + 1) + min(n1, ROOM)) * 2 + after] += p
                c[1, s, a] += p * max(n1 - ROOM, 0) / arrivals[1]
    for array in (P, r, c):
        array.setflags(write=False)
    return P, r, c


@lru_cache(maxsize=64)
def _optimum(arrivals: tuple[float, float], limits: tuple[float, float]) -> ConstrainedOptimum:
    return solve_constrained_mdp(*_dynamics(arrivals), limits, NAMES)


@dataclass
class TinySlicingConfig(MadeById):
    """``env=tiny-slicing``; the arguments of ``optgap/TinySlicing-v0``, documented with the environment.

    Raises:
        InputError: an argument out of its range.
        InfeasibleError: no policy meets the limits; the message names the constraints.
    """

    limits: Any = (1.55, 0.115)
    arrivals: Any = (0.8, 1.2)
    decisions: int = 200

    problem: ClassVar[str | None] = None
    id: ClassVar[str] = "optgap/TinySlicing-v0"

    def __post_init__(self) -> None:
        self.arrivals = _pair("arrivals", self.arrivals)
        self.limits = _pair("limits", self.limits)
        if not all(0 < rate <= BURST for rate in self.arrivals):
            raise InputError(f"arrivals is {self.arrivals}; expected two means in (0, {BURST}] packets a slot")
        if not (isinstance(self.decisions, int) and self.decisions >= 1):
            raise InputError(f"decisions is {self.decisions!r}; expected a whole number of at least 1")
        self.optimum()

    def optimum(self) -> ConstrainedOptimum:
        """The best policy within the limits, its mean reward and costs per step, and the multipliers."""
        return _optimum(self.arrivals, self.limits)

    def model(self) -> TinyModel:
        """The decision process that the environment simulates."""
        return TinyModel(*_dynamics(self.arrivals), np.array(self.limits), self.optimum().occupancy.sum(1))

    def batch(self, copies: int) -> TinyBatch:
        """``copies`` simulations in lockstep."""
        return TinyBatch(copies, self)

    def baselines(self) -> dict[str, Policy]:
        """Policies to compare trained ones with, by name."""
        return {"optimum": OptimalPolicy(self.optimum(), states_of)}


def _pair(name: str, value: Any) -> tuple[float, float]:
    numbers = isinstance(value, Sequence | np.ndarray) and all(isinstance(x, Real) and x == x for x in value)
    if not numbers or isinstance(value, str) or len(value) != 2:
        raise InputError(f"{name} is {value!r}; expected two numbers, of urllc and of video")
    return float(value[0]), float(value[1])


class TinyBatch:
    """B copies of the slots of :class:`TinySlicingEnv` in lockstep: arrays of B rows, no loop over copies but at a reset.

    An episode's randomness, three uniform numbers a slot, is drawn from the copy's generator when the episode begins.
    """

    def __init__(self, copies: int, config: TinySlicingConfig) -> None:
        self.config = config
        self.queue = np.zeros((copies, 2), np.int64)
        self.good = np.zeros(copies, np.int64)
        self.reward = np.zeros(copies)
        self.cost = np.zeros((copies, len(NAMES)))
        self.slot = 0
        self._random = np.zeros((config.decisions + 1, 3, copies))
        self._rates = np.array(config.arrivals)
        self._arrivals = [np.cumsum(_arrival_shares(rate))[:-1] for rate in config.arrivals]
        self._start = np.cumsum(config.model().start)[:-1]

    def reset(self, rngs: Sequence[np.random.Generator]) -> None:
        """Begin an episode in every copy."""
        for b, rng in enumerate(rngs):
            self._random[:, :, b] = rng.random(self._random.shape[:2])
        state = np.searchsorted(self._start, self._random[-1, 0], side="right")
        self.queue[:, 0], self.queue[:, 1] = np.divmod(state // 2, ROOM + 1)
        self.good[:] = state % 2
        self.reward[:], self.cost[:], self.slot = 0.0, 0.0, 0

    def step(self, action: NDArray[np.int64]) -> None:
        """A slot in every copy; :class:`InvalidActionError` names a forbidden action, no copy has moved."""
        wrong = np.flatnonzero((action < 0) | (action >= ACTIONS))
        if len(wrong):
            raise InvalidActionError(
                f"copy {wrong[0]}: action {action[wrong[0]]}; expected units of urllc from 0 to {ACTIONS - 1}"
            )
        units = np.take(UNITS, self.good)
        first = np.minimum(action, units)
        self.cost[:, 0] = self.queue[:, 0] / self._rates[0]
        served = np.minimum(self.queue, np.stack([first, units - first], 1))
        self.reward[:] = served @ WEIGHTS
        draws = self._random[self.slot]
        arrived = [np.searchsorted(self._arrivals[i], draws[i], side="right") for i in (0, 1)]
        wanted = self.queue - served + np.stack(arrived, 1)
        self.queue = np.minimum(wanted, ROOM)
        self.cost[:, 1] = (wanted - self.queue)[:, 1] / self._rates[1]
        self.good = np.where(draws[2] < np.take(STAYS, self.good), self.good, 1 - self.good)
        self.slot += 1

    @property
    def done(self) -> bool:
        return self.slot == self.config.decisions

    def observation(self) -> NDArray[np.float32]:
        """(B, 3), the caller's to keep."""
        return np.column_stack([self.queue / ROOM, self.good]).astype(np.float32)


def _spaces() -> tuple[spaces.Box, spaces.Discrete]:
    return spaces.Box(0.0, 1.0, (3,), np.float32), spaces.Discrete(ACTIONS)


class TinySlicingEnv(gym.Env[Any, Any]):
    """A base station with two slices, small queues and two channel states: the constrained optimum is known exactly.

    ## Description
    Slice 0, ``urllc``, and slice 1, ``video``, have a queue of at most 4 packets each. In a slot the channel carries 3
    service units (good) or 1 (bad); a unit serves a packet. The action divides the units; then packets arrive, for each
    slice binomially (3 sources) with mean ``arrivals``; those that find a full queue are dropped; and the
    channel stays as it is with probability 0.9 (good) or 0.8 (bad). Units given to an empty queue are lost. The criterion
    is the long-run average per step: the largest mean reward whose mean costs are at most the limits.

    ``TinySlicingConfig(...).model()`` gives the 50 x 4 model as arrays, and ``.optimum()`` the best policy within the
    limits, by linear programming (:mod:`optgap.co.exact.constrained_mdp`). With the default arguments the best policy without
    limits breaks both of them, and the best one within them randomizes.

    ## Action space
    ``Discrete(4)``: units that slice 0 gets, at most those that there are; slice 1 gets the rest. All are always allowed;
    anything else raises :class:`InvalidActionError`.

    ## Observation space
    ``Box(0, 1, (3,), float32)``: queue of slice 0 / 4, queue of slice 1 / 4, 1 if the channel is good. It is the
    whole state; ``states_of`` gives its number in the model.

    ## Reward
    2 for each packet of slice 0 served, 1 for each of slice 1.

    ## Costs
    ``info["cost"]``, (2,) float64, named by ``cost_names``, limits of their means per step in ``cost_limits``:

    | name | cost of a step | its mean |
    |---|---|---|
    | latency/urllc | packets of slice 0 that wait when the slot begins / its mean arrivals | delay in slots (*) |
    | drop/video | packets of slice 1 dropped / its mean arrivals | share of its packets that are dropped |

    (*) of all its packets, by Little's law; a dropped one counts as delay 0.

    ## Episode
    Never terminates; truncated after ``decisions`` steps. It begins in a state drawn from the stationary distribution of
    the best policy within the limits, so that this policy's mean over an episode has the long-run average as expectation.

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | limits | (1.55, 0.115) | of the two mean costs; infinity is none; such that no policy meets raise InfeasibleError |
    | arrivals | (0.8, 1.2) | mean packets a slot of the two slices, in (0, 3] |
    | decisions | 200 | steps of an episode |

    ## Version history
    v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 (Gymnasium's form)
    cost_names: ClassVar[tuple[str, ...]] = NAMES

    def __init__(self, render_mode: str | None = None, **arguments: Any) -> None:
        if render_mode is not None:
            raise InputError("optgap/TinySlicing-v0 does not render")
        self.render_mode = render_mode
        self.batch = cast(TinyBatch, batch_from(TinySlicingConfig, 1, arguments))
        self.cost_limits = np.array(self.batch.config.limits)
        self.observation_space, self.action_space = _spaces()
        self._running = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        super().reset(seed=seed)
        self.batch.reset([self.np_random])
        self._running = True
        return self.batch.observation()[0], {}

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        if not self._running:
            raise gym.error.ResetNeeded("call reset before step: no episode is under way")
        if not self.action_space.contains(action):
            raise InvalidActionError(f"action is {action!r}; expected an integer of {self.action_space}")
        self.batch.step(np.array([action], np.int64))
        self._running = not self.batch.done
        info = {"cost": self.batch.cost[0].copy()}
        return self.batch.observation()[0], float(self.batch.reward[0]), False, self.batch.done, info


class TinySlicingVectorEnv(gym.vector.VectorEnv[Any, Any, Any]):
    """Copies of :class:`TinySlicingEnv` in lockstep, without a loop over them.

    ``reset(seed=s)`` seeds copy i with s + i. Autoreset mode is NEXT_STEP: the step after an episode's end ignores the
    actions and begins new episodes, with reward and costs 0. ``info["cost"]`` is (num_envs, 2) float64.
    """

    metadata: dict[str, Any] = {"autoreset_mode": gym.vector.AutoresetMode.NEXT_STEP, "render_modes": []}  # noqa: RUF012
    cost_names: ClassVar[tuple[str, ...]] = NAMES

    def __init__(self, num_envs: int = 1, render_mode: str | None = None, **arguments: Any) -> None:
        if num_envs < 1:
            raise InputError(f"num_envs is {num_envs}; expected at least 1")
        if render_mode is not None:
            raise InputError("optgap/TinySlicing-v0 does not render")
        self.num_envs, self.render_mode = num_envs, render_mode
        self.batch = cast(TinyBatch, batch_from(TinySlicingConfig, num_envs, arguments))
        self.cost_limits = np.array(self.batch.config.limits)
        self.single_observation_space, self.single_action_space = _spaces()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._rngs: list[np.random.Generator] = []

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        seeds = seed if isinstance(seed, list) else [None if seed is None else seed + i for i in range(self.num_envs)]
        if len(seeds) != self.num_envs:
            raise InputError(f"{len(seeds)} seeds; expected one for each of {self.num_envs} copies")
        kept: list[Any] = [*self._rngs] or [None] * self.num_envs
        self._rngs = [
            rng if rng is not None and s is None else seeding.np_random(s)[0]
            for s, rng in zip(seeds, kept, strict=True)
        ]
        self.batch.reset(self._rngs)
        return self.batch.observation(), {}

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], F8, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        if not self._rngs:
            raise gym.error.ResetNeeded("call reset before step")
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or actions.dtype.kind not in "iu":
            raise InvalidActionError(
                f"actions have shape {actions.shape}, dtype {actions.dtype}; expected ({self.num_envs},) integers"
            )
        if self.batch.done:
            self.batch.reset(self._rngs)
        else:
            self.batch.step(actions.astype(np.int64, copy=False))
        never, cut = np.zeros(self.num_envs, np.bool_), np.full(self.num_envs, self.batch.done)
        info = {"cost": self.batch.cost.copy()}
        return self.batch.observation(), self.batch.reward.copy(), never, cut, info
