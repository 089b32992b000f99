"""An engine without processes, and an environment that writes down what happened in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from optgap.agents.asynchronous.engine import ENGINES
from optgap.agents.asynchronous.messages import Mail
from optgap.agents.asynchronous.player import Player


class InlineEngine:
    """Actors play when their turn comes, with the policy that was the newest ``lag`` publications ago."""

    made: ClassVar[list[Any]] = []
    script: ClassVar[list[Mail]] = []  # what is received before anything is played
    lag = 0

    def __init__(self, assignment: Any, published: Any, config: Any) -> None:
        self.assignment, self.config, self.published = assignment, config, [published]
        self.players: dict[int, Player] = {}
        self.started: list[tuple[int, int]] = []
        self.turn, self.closed = 0, False
        self.made.append(self)

    def start(self, actor, generation):
        self.started.append((actor, generation))
        self.players[actor] = Player(self.assignment, actor, generation, self._newest, lambda: None)

    def stop(self, actor):
        self.players.pop(actor).close()

    def publish(self, published):
        self.published.append(published)

    def receive(self, seconds):
        if self.script:
            return self.script.pop(0)
        actor, self.turn = self.turn % self.config.actors, self.turn + 1
        return Mail(actor, dict(self.started)[actor], self.players[actor].play())

    def waiting(self):
        return 0

    def silent(self, actor):
        return 0.0

    def close(self):
        self.closed = True
        for player in self.players.values():
            player.close()

    def _newest(self):
        return self.published[max(0, len(self.published) - 1 - self.lag)]


class Diary(gym.Env):
    """Observes (episode, step), unlike any other; episodes are terminated or truncated after 3 to 7 steps."""

    observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = spaces.Box(-2, 2, (1,), np.float32)
    pages: ClassVar[
        list[tuple[Any, ...]]
    ] = []  # (observation, action, reward, next observation, terminated) of all copies
    copies = 0

    def __init__(self) -> None:
        Diary.copies += 1
        self.copy, self.episode = Diary.copies, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.count = self.episode + 1, 0
        self.length = int(self.np_random.integers(3, 8))
        return self._show(), {}

    def step(self, action):
        before = self._show()
        self.count += 1
        reward, ended, terminal = float(self.np_random.normal()), self.count == self.length, self.episode % 2 == 0
        Diary.pages.append((before, action.copy(), np.float32(reward), self._show(), ended and terminal))
        return self._show(), reward, ended and terminal, ended and not terminal, {}

    def _show(self):
        return np.array([self.copy, self.episode, self.count], np.float32)


if "optgap-test/Diary-v0" not in gym.registry:
    gym.register("optgap-test/Diary-v0", entry_point=Diary)
if "inline" not in ENGINES:
    ENGINES.register("inline", InlineEngine)


@pytest.fixture
def inline() -> Iterator[type[InlineEngine]]:
    """The engine's class, as if never used."""
    InlineEngine.made, InlineEngine.script, InlineEngine.lag = [], [], 0
    yield InlineEngine
    assert all(engine.closed for engine in InlineEngine.made)


@pytest.fixture
def diary() -> type[Diary]:
    """The environment's class with an empty diary."""
    Diary.pages = []
    return Diary
