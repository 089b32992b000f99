"""Checkpoints: a folder of safetensors and json, written atomically, read with every name and shape checked.

``weights.safetensors`` holds the module's state, ``optimizer.safetensors`` the optimizer's (absent from published
weights), ``replay.safetensors`` the transitions that an off-policy agent goes on learning from, ``state.json``
everything else: format version, classes, configurations, seed, counters, running statistics.
Nothing is pickled, and a class that ``state.json`` names is taken only from optgap or from a package that the caller
has imported already: a file from a stranger cannot run code.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from optgap.agents.common.contracts import Agent
from optgap.co.core import InputError

FORMAT_VERSION = 1

WEIGHTS, OPTIMIZER, STATE = "weights.safetensors", "optimizer.safetensors", "state.json"
REPLAY = "replay.safetensors"
VALUE = "value"  # "<parameter>/value" in the optimizer's file: what the learner's parameter is


@runtime_checkable
class Growing(Protocol):
    """A module whose tensors have no shapes of their own before they are loaded: trees."""

    def check_state(self, state: Mapping[str, Tensor]) -> None:
        """Raise a ValueError of one line unless ``load_state_dict(state)`` can follow."""
        ...


@dataclass(frozen=True)
class Checkpoint:
    """What :func:`read_checkpoint` found in ``path``."""

    path: Path
    agent: str  # import string of the agent's class
    env_config: Any
    config: Any
    seed: int
    steps: int
    updates: int
    statistics: dict[str, float]
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor] | None
    replay: dict[str, Tensor] | None

    def restore(
        self,
        agent: Any,
        module: nn.Module,
        optimizer: torch.optim.Optimizer | None = None,
        learner: nn.Module | None = None,
    ) -> None:
        """Put the counters into ``agent`` and the tensors into ``module``, ``optimizer`` and ``learner``.

        ``learner`` is the module whose parameters the optimizer moves where that is not ``module``; a checkpoint
        without an optimizer gives it the weights of ``module``.

        Raises:
            InputError: a tensor is missing, unexpected or of another shape; nothing has been changed.
        """
        if isinstance(module, Growing):
            try:
                module.check_state(self.weights)
            except ValueError as error:
                raise InputError(f"{self.path / WEIGHTS}: {error}") from None
        else:
            expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
            _match(self.path / WEIGHTS, {name: tuple(tensor.shape) for name, tensor in self.weights.items()}, expected)
        if self.optimizer is not None and optimizer is not None:
            moved, values = _split_learner(self.path / OPTIMIZER, self.optimizer, learner)
            _load_optimizer(self.path / OPTIMIZER, moved, learner or module, optimizer)
        else:
            values = self.weights
        module.load_state_dict(self.weights)
        if learner is not None:
            learner.load_state_dict(values)
        agent.steps, agent.updates = self.steps, self.updates


def write_checkpoint(
    path: str | Path,
    agent: Agent,
    seed: int,
    module: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    statistics: Mapping[str, float] | None = None,
    learner: nn.Module | None = None,
    replay: Mapping[str, Tensor] | None = None,
) -> None:
    """Write the folder ``path``; a kill at any moment leaves the previous checkpoint or the new one, never a mixture.

    Without ``optimizer`` the folder holds weights to be used, not a training run to be resumed. ``learner`` is the
    module whose parameters the optimizer moves where that is not ``module`` (which then holds their average, say); its
    weights are kept beside the optimizer's state. ``replay`` is kept as it is.

    Raises:
        InputError: the folder cannot be written, or a configuration cannot be expressed in json.
    """
    path = Path(path)
    environment = getattr(agent.env_config, "plain", agent.env_config)  # what the agent wraps it in, config says
    state = {
        "format": FORMAT_VERSION,
        "agent": _import_string(type(agent)),
        "environment": {"class": _import_string(type(environment)), "fields": _fields(environment)},
        "config": {"class": _import_string(type(agent.config)), "fields": _fields(agent.config)},
        "seed": seed,
        "steps": agent.steps,
        "updates": agent.updates,
        "statistics": dict(statistics or {}),
        "optimizer": optimizer is not None,
        "replay": replay is not None,
    }
    try:
        text = json.dumps(state, indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: the configuration cannot be written as json: {error}") from error
    partial, previous = _sibling(path, "partial"), _sibling(path, "previous")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _recover(path)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        (partial / WEIGHTS).write_bytes(to_bytes(_plain(module.state_dict())))
        if optimizer is not None:
            tensors = _optimizer_tensors(learner or module, optimizer)
            if learner is not None:
                tensors |= {f"{name}/{VALUE}": tensor for name, tensor in learner.state_dict().items()}
            (partial / OPTIMIZER).write_bytes(to_bytes(_plain(tensors)))
        if replay is not None:
            save_file(dict(replay), partial / REPLAY)
        (partial / STATE).write_text(text, encoding="utf-8")
        for file in partial.iterdir():
            _sync(file)
        _sync(partial)
        # A folder cannot replace another in one step, so between these two renames only `previous` exists: _recover.
        if path.exists():
            path.rename(previous)
        partial.rename(path)
        _sync(path.parent)
        shutil.rmtree(previous, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)  # a full disk has better uses
        why = (isinstance(error, OSError) and error.strerror) or error
        raise InputError(f"{path}: the checkpoint cannot be written: {why}") from error


def read_checkpoint(path: str | Path, agent: type | None = None, env_config: Any = None) -> Checkpoint:
    """Read the folder ``path``, on the CPU.

    Args:
        path: the folder.
        agent: the class that must have written it; None takes any.
        env_config: used instead of the stored environment configuration, for instance to play another size.

    Raises:
        InputError: one line that names the file and what was expected.
    """
    path = Path(path)
    if not path.exists() and _sibling(path, "previous").exists():
        path = _sibling(path, "previous")  # a kill between the renames; left in place, a writer may be at work
    file = path / STATE
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is not a checkpoint: it holds no {STATE}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: unreadable ({error}); expected a json object") from error
    version = state.get("format") if isinstance(state, dict) else None
    if version != FORMAT_VERSION:
        raise InputError(f"{file}: checkpoint format {version}; this version of optgap reads format {FORMAT_VERSION}")
    counters = {key: _entry(file, state, key, int) for key in ("seed", "steps", "updates")}
    name = _entry(file, state, "agent", str)
    if agent is not None and name != _import_string(agent):
        raise InputError(f"{file}: written by the agent {name}; expected {_import_string(agent)}")
    if env_config is None:
        env_config = _rebuild(file, state, "environment")
    statistics = _entry(file, state, "statistics", dict)
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in statistics.values()):
        raise InputError(f"{file}: statistics is {statistics}; expected finite numbers")
    return Checkpoint(
        path=path,
        agent=name,
        env_config=env_config,
        config=_rebuild(file, state, "config"),
        **counters,
        statistics=statistics,
        weights=_read_tensors(path / WEIGHTS),
        optimizer=_read_tensors(path / OPTIMIZER) if _entry(file, state, "optimizer", bool) else None,
        replay=_read_tensors(path / REPLAY) if state.get("replay") is True else None,
    )


def load_agent(path: str | Path, device: str = "cpu", env_config: Any = None) -> Agent:
    """The agent of whatever class wrote the checkpoint ``path``."""
    checkpoint = read_checkpoint(path, env_config=env_config)
    agent_class = import_trusted(checkpoint.agent, checkpoint.path / STATE)
    if not (isinstance(agent_class, type) and hasattr(agent_class, "load") and hasattr(agent_class, "learn")):
        raise InputError(f"{checkpoint.path / STATE}: {checkpoint.agent} is not an agent")
    agent: Agent = agent_class.load(path, device, env_config=env_config)
    return agent


def import_trusted(name: str, file: Path) -> Any:
    """The object ``"module:attribute"`` that ``file`` names, if its package is optgap or has been imported already."""
    module, _, attribute = name.partition(":")
    package = module.partition(".")[0]
    if package != __name__.partition(".")[0] and package not in sys.modules:
        raise InputError(f"{file}: names {name}, whose package is not imported; import {package} first if you trust it")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError):
        raise InputError(f"{file}: names {name}, which does not exist in this installation") from None


def _import_string(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _fields(config: Any) -> dict[str, Any]:
    return {item.name: getattr(config, item.name) for item in dataclasses.fields(config) if item.init}


def _entry(file: Path, state: dict[str, Any], key: str, kind: type[Any]) -> Any:
    value: Any = state.get(key)
    if type(value) is not kind or (kind is int and value < 0):
        raise InputError(f"{file}: {key} is {value!r}; expected {'an integer >= 0' if kind is int else kind.__name__}")
    return value


def _rebuild(file: Path, state: dict[str, Any], key: str) -> Any:
    """The configuration dataclass that ``state[key]`` describes."""
    entry = _entry(file, state, key, dict)
    name, values = _entry(file, entry, "class", str), _entry(file, entry, "fields", dict)
    cls = import_trusted(name, file)
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
        raise InputError(f"{file}: {key} class {name} is not a configuration dataclass")
    unknown = sorted(values.keys() - {item.name for item in dataclasses.fields(cls) if item.init})
    if unknown:
        raise InputError(f"{file}: {name} has no field {unknown[0]!r} (written by another version?)")
    try:
        return cls(**values)
    except (TypeError, InputError) as error:
        raise InputError(f"{file}: {key}: {error}") from error


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def _read_tensors(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except FileNotFoundError:
        raise InputError(f"{file}: the file is missing") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file}: not a readable safetensors file ({str(error).splitlines()[0]})") from error


def _optimizer_tensors(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as ``"<parameter>/<key>"`` -> tensor; hyperparameters belong to the configuration."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    return {
        f"{names[id(parameter)]}/{key}": torch.as_tensor(value)
        for parameter, entries in optimizer.state.items()
        for key, value in entries.items()
    }


def _load_optimizer(
    file: Path, tensors: dict[str, Tensor], module: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Fill ``optimizer`` with what :func:`_optimizer_tensors` gave, on its parameters' device."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    saved = optimizer.state_dict()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    known = {names[id(parameter)]: (i, parameter) for i, parameter in enumerate(parameters)}
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        parameter_name, _, key = name.rpartition("/")
        if parameter_name not in known:
            raise InputError(f"{file}: unexpected tensor {name!r}; the optimizer has no such parameter")
        index, parameter = known[parameter_name]
        if tensor.ndim and tensor.shape != parameter.shape:
            raise InputError(f"{file}: {name!r} has shape {tuple(tensor.shape)}; expected {tuple(parameter.shape)}")
        state.setdefault(index, {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": saved["param_groups"]})


def _split_learner(
    file: Path, tensors: dict[str, Tensor], learner: nn.Module | None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The optimizer's own tensors, and the learner's weights by their names (none without a learner)."""
    if learner is None:
        return tensors, {}
    values = {name.rpartition("/")[0]: tensor for name, tensor in tensors.items() if name.endswith(f"/{VALUE}")}
    expected = {name: tuple(tensor.shape) for name, tensor in learner.state_dict().items()}
    _match(file, {name: tuple(tensor.shape) for name, tensor in values.items()}, expected)
    return {name: tensor for name, tensor in tensors.items() if not name.endswith(f"/{VALUE}")}, values


def _match(file: Path, found: dict[str, tuple[int, ...]], expected: dict[str, tuple[int, ...]]) -> None:
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise InputError(f"{file}: tensor {name!r} is missing; expected shape {expected[name]}")
        if name not in expected:
            raise InputError(f"{file}: unexpected tensor {name!r} of shape {found[name]}")
        if found[name] != expected[name]:
            raise InputError(f"{file}: {name!r} has shape {found[name]}; expected {expected[name]}")


def _sibling(path: Path, role: str) -> Path:
    return path.parent / f".{path.name}.{role}"


def _recover(path: Path) -> None:
    """Undo what a kill between the two renames of :func:`write_checkpoint` left half done."""
    previous = _sibling(path, "previous")
    if previous.exists() and not path.exists():
        previous.rename(path)
    elif previous.exists():
        shutil.rmtree(previous, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
