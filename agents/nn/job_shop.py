"""The scheduling policy: message passing over the operations of an instance, then a score a candidate job.

The typed graph has three relations (Park et al. 2021, section 4.1): predecessor, successor, same machine. Its nodes'
constant features are encoded once an episode (:class:`RouteEncoder`); at every decision each candidate job is scored from
the encoding of its next operation, the state of its job and machine, and a summary of all candidates. Sizes enter
nowhere: the same weights serve every number of jobs and machines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from optgap.co.core import InputError
from optgap.envs.scheduling.observation import JOB_FEATURES, ROUTE_FEATURES, SHOP_FEATURES

Tensors = dict[str, Tensor]


@dataclass
class JobShopNetworkConfig:
    """Sizes of the network."""

    width: int = 64  # of an operation's encoding
    layers: int = 3  # of message passing
    hidden: int = 128  # of the scoring and value networks

    def __post_init__(self) -> None:
        if self.width < 1 or self.layers < 0 or self.hidden < 1:
            raise InputError(
                f"network width {self.width}, layers {self.layers}, hidden {self.hidden}; expected 1, 0, 1 or more"
            )


def perceptron(*sizes: int) -> nn.Sequential:
    """Linear layers with SiLU between them."""
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        layers += [nn.Linear(a, b)] + ([nn.SiLU()] if i < len(sizes) - 2 else [])
    return nn.Sequential(*layers)


class RouteEncoder(nn.Module):
    """Residual message passing over predecessor, successor and same-machine operations."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.embed = nn.Linear(len(ROUTE_FEATURES), width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.machine = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.update = nn.ModuleList(perceptron(5 * width, width, width) for _ in range(layers))
        self.out = nn.LayerNorm(width)

    def forward(self, route: Tensor, job: Tensor, machine: Tensor) -> Tensor:
        """Encodings of the operations of I instances.

        Args:
            route: (I, N, 6) float32; job, machine: (I, N) int64, -1 where padded.

        Returns:
            (I, N, width) float32, zero where padded.
        """
        count, operations, _ = route.shape
        real = (job >= 0).unsqueeze(-1)
        h = self.embed(route) * real
        machines = int(machine.max()) + 1
        slot = machine.clamp(min=0) + machines * torch.arange(count, device=route.device).unsqueeze(1)
        slot = torch.where(machine >= 0, slot, count * machines).reshape(-1)  # padding goes to a slot of its own
        follows = ((job[:, 1:] == job[:, :-1]) & (job[:, 1:] >= 0)).unsqueeze(-1)
        size = torch.zeros(count * machines + 1, device=route.device).index_add_(
            0, slot, torch.ones(slot.shape, device=route.device)
        )
        size = size.clamp(min=1).unsqueeze(-1)
        for norm, project, update in zip(self.norms, self.machine, self.update, strict=True):
            z = norm(h)
            edge = z[:, :-1] * follows, z[:, 1:] * follows
            predecessor = nn.functional.pad(edge[0], (0, 0, 1, 0))
            successor = nn.functional.pad(edge[1], (0, 0, 0, 1))
            flat = torch.relu(project(z)).reshape(count * operations, -1)
            total = flat.new_zeros(count * machines + 1, flat.shape[1]).index_add_(0, slot, flat)
            mean = (total / size)[slot].reshape(count, operations, -1)
            whole = (mean * real).sum(1, keepdim=True) / real.sum(1, keepdim=True)
            h = h + update(torch.cat([z, predecessor, successor, mean, whole.expand_as(mean)], -1)) * real
        return self.out(h) * real  # type: ignore[no-any-return]


class JobShopNetwork(nn.Module):
    """Scores of the candidate jobs and the value of the state.

    :meth:`encode` runs once an instance, :meth:`score` once a decision; :class:`JobShopActorCritic` joins the two for
    agents that see whole observations.
    """

    def __init__(self, config: JobShopNetworkConfig | None = None) -> None:
        super().__init__()
        c = config or JobShopNetworkConfig()
        self.config = c
        state = len(JOB_FEATURES) + len(SHOP_FEATURES)
        self.encoder = RouteEncoder(c.width, c.layers)
        self.job_in = nn.Linear(state, c.hidden)
        self.route_in = nn.Linear(c.width, c.hidden, bias=False)
        self.job_hidden = nn.Linear(c.hidden, c.hidden)
        self.pool_in = nn.Linear(c.hidden, c.hidden, bias=False)
        self.score_out = perceptron(c.hidden, c.hidden // 2, 1)
        self.wait_out = perceptron(c.hidden, c.hidden // 2, 1)
        self.value_out = perceptron(len(SHOP_FEATURES) + 2 * len(JOB_FEATURES), c.hidden, c.hidden, 1)

    def encode(self, route: Tensor, job: Tensor, machine: Tensor) -> Tensor:
        """See :meth:`RouteEncoder.forward`; returns what :meth:`score` reads, (I, N, hidden)."""
        return self.route_in(self.encoder(route, job, machine))  # type: ignore[no-any-return]

    def score(self, route: Tensor, rows: Tensor, jobs: Tensor, shop: Tensor, decisions: int) -> tuple[Tensor, Tensor]:
        """Scores of C candidates that belong to D decisions.

        Args:
            route: (C, hidden) encoding of each candidate's next operation.
            rows: (C,) int64 decision of each candidate.
            jobs: (C, 32) features of its job; shop: (D, 10).
            decisions: D.

        Returns:
            (C,) scores of the candidates, (D,) scores of waiting.
        """
        x = torch.cat([jobs, shop[rows]], -1)
        h = nn.functional.silu(self.job_in(x) + route)
        h = nn.functional.silu(self.job_hidden(h)) + h
        one = torch.ones(len(rows), 1, device=h.device)
        number = one.new_zeros(decisions, 1).index_add_(0, rows, one).clamp(min=1)
        pool = self.pool_in(h.new_zeros(decisions, h.shape[1]).index_add_(0, rows, h) / number)
        return self.score_out(h + pool[rows]).squeeze(-1), self.wait_out(pool).squeeze(-1)

    def value(self, jobs: Tensor, shop: Tensor) -> Tensor:
        """(D,) values from (D, J, 32) job features (zero rows: finished) and (D, 10) shop features."""
        real = (jobs.abs().sum(-1, keepdim=True) > 0).float()
        mean = (jobs * real).sum(1) / real.sum(1).clamp(min=1)
        most = jobs.masked_fill(real == 0, -1e3).amax(1).clamp(min=-1e2)
        return self.value_out(torch.cat([shop, mean, most], -1)).squeeze(-1)  # type: ignore[no-any-return]


class JobShopActorCritic(nn.Module):
    """The network behind ``forward(observation) -> (logits, value)``, as :class:`optgap.agents.ppo.agent.PPO` asks.

    Rows of a batch that share an instance are recognised by a weighted sum of its constants, and each instance is encoded
    once.
    """

    def __init__(self, observation_space: Any, action_space: Any, config: Any = None) -> None:
        super().__init__()
        read = ("jobs", "shop", "route", "operation_job", "operation_machine", "next_operation", "action_mask")
        missing = [key for key in read if key not in getattr(observation_space, "spaces", {})]
        if missing:
            raise InputError(
                f"the job-shop network reads the observation's {missing[0]!r}, which this environment lacks"
            )
        self.network = JobShopNetwork(config)
        self._kept: tuple[Tensor, Tensor] | None = None  # keys and encodings of the last acting call
        self.register_load_state_dict_post_hook(lambda module, _: setattr(module, "_kept", None))

    def forward(self, observation: Tensors) -> tuple[Tensor, Tensor]:
        """(B, A) logits (forbidden actions at the lowest finite value) and (B,) values."""
        mask, following = observation["action_mask"].bool(), observation["next_operation"]
        jobs_n = following.shape[1]
        rows, jobs = torch.nonzero(mask[:, :jobs_n], as_tuple=True)
        encoded, instance = self._encode(observation)
        route = encoded[instance[rows], following[rows, jobs]]
        scores, waits = self.network.score(route, rows, observation["jobs"][rows, jobs], observation["shop"], len(mask))
        logits = torch.full(mask.shape, torch.finfo(scores.dtype).min, device=scores.device)
        logits = logits.index_put((rows, jobs), scores)
        if mask.shape[1] > jobs_n:
            logits = torch.cat([logits[:, :jobs_n], torch.where(mask[:, jobs_n], waits, logits[:, jobs_n])[:, None]], 1)
        return logits, self.network.value(observation["jobs"], observation["shop"])

    def play_copies(
        self, env_config: Any, instance: Any, copies: int, greedy: bool, temperature: float, generator: torch.Generator
    ) -> tuple[float, Any]:
        """(makespan, start times) of the best of ``copies`` episodes: :class:`BatchedPolicy`."""
        from optgap.agents.nn.job_shop_rollout import batch_of, play

        batch = batch_of(env_config, [instance], copies)
        device = next(self.parameters()).device
        play(self.network, batch, copies, device, greedy=greedy, temperature=temperature, generator=generator)
        best = int(batch.state.makespan.argmin())
        return float(batch.state.makespan[best]), batch.solution(best)

    def train(self, mode: bool = True) -> Self:
        """Training changes the weights, so the encodings kept between decisions are dropped."""
        if mode:
            self._kept = None
        return super().train(mode)

    def _encode(self, observation: Tensors) -> tuple[Tensor, Tensor]:
        """(encodings of distinct instances, which of them each row has).

        While acting (evaluation mode, no gradient) the encodings of the last call are kept, and only the instances of
        episodes that have just begun are encoded.
        """
        route = observation["route"]
        # all that the encoder reads: shops of equal durations may differ in their machines alone
        parts = route.reshape(len(route), -1), observation["operation_job"], observation["operation_machine"]
        flat = torch.cat([part.double() for part in parts], 1)
        weight = torch.sin(torch.arange(1, flat.shape[1] + 1, device=flat.device, dtype=torch.float64))
        key = (flat * weight).sum(1)
        if self.training or torch.is_grad_enabled():
            key, instance = torch.unique(key, return_inverse=True)
            first = torch.zeros(len(key), dtype=torch.int64, device=flat.device)
            first[instance] = torch.arange(len(flat), device=flat.device)
            return self._encode_rows(observation, first), instance
        if self._kept is None or self._kept[0].shape != key.shape or self._kept[1].shape[1] != route.shape[1]:
            self._kept = key, self._encode_rows(observation, torch.arange(len(key), device=key.device))
        new = torch.nonzero(self._kept[0] != key).squeeze(1)
        if len(new):
            self._kept[1][new] = self._encode_rows(observation, new)
            self._kept[0][new] = key[new]
        return self._kept[1], torch.arange(len(key), device=key.device)

    def _encode_rows(self, observation: Tensors, rows: Tensor) -> Tensor:
        return self.network.encode(*(observation[k][rows] for k in ("route", "operation_job", "operation_machine")))
