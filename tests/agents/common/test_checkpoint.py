"""A checkpoint gives back what was saved; anything else is one clear line; a kill leaves a whole one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from optgap.agents.common import checkpoint as module
from optgap.agents.common.checkpoint import load_agent, read_checkpoint, write_checkpoint
from optgap.agents.ppo.agent import PPO
from optgap.agents.ppo.config import PPOConfig
from optgap.co.core import InputError
from optgap.envs.gym_config import GymConfig


def small(**changes) -> PPO:
    config = PPOConfig(
        **({"num_envs": 2, "rollout_length": 8, "epochs": 1, "hidden_sizes": [4], "normalize_reward": True} | changes)
    )
    return PPO(GymConfig(id="optgap-test/Corridor-v0"), config, seed=5)


@pytest.fixture
def saved(tmp_path) -> Path:
    small().learn(40).save(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def change_state(folder: Path, **entries) -> None:
    file = folder / "state.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


def test_round_trip(tmp_path):
    agent = small().learn(40)
    agent.save(tmp_path / "a" / "checkpoint")
    assert {file.name for file in (tmp_path / "a").iterdir()} == {"checkpoint"}  # nothing left over beside it
    assert {file.suffix for file in (tmp_path / "a" / "checkpoint").iterdir()} == {".safetensors", ".json"}
    other = load_agent(tmp_path / "a" / "checkpoint")
    assert isinstance(other, PPO)
    assert (other.steps, other.updates, other.seed) == (agent.steps, agent.updates, 5)
    assert other.config == agent.config
    assert other.env_config == agent.env_config
    assert other.reward_scale.state() == agent.reward_scale.state()
    for name, tensor in agent.policy.state_dict().items():
        assert torch.equal(tensor, other.policy.state_dict()[name])
    other.save(tmp_path / "b")
    for name in ("weights.safetensors", "optimizer.safetensors", "state.json"):  # the optimizer's moments included
        assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "a" / "checkpoint" / name).read_bytes()


def test_another_environment_may_be_given(saved):
    shorter = GymConfig(id="optgap-test/Corridor-v0", kwargs={"max_episode_steps": 3})
    assert PPO.load(saved, env_config=shorter).env_config is shorter
    with pytest.raises(
        InputError, match=r"weights.safetensors: 'actor.0.weight' has shape \(4, 8\); expected \(4, 4\)"
    ):
        PPO.load(saved, env_config=GymConfig(id="CartPole-v1"))


def test_weights_without_an_optimizer_can_be_used(tmp_path):
    agent = small()
    write_checkpoint(tmp_path / "zoo", agent, agent.seed, agent.policy, statistics=agent.reward_scale.state())
    assert not (tmp_path / "zoo" / "optimizer.safetensors").exists()
    other = PPO.load(tmp_path / "zoo")
    assert torch.equal(other.policy.actor[0].weight, agent.policy.actor[0].weight)


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "garbage", "empty"])
def test_damaged_files(saved, name, damage):
    file = saved / name
    if damage == "missing":
        file.unlink()
    else:
        whole = file.read_bytes()
        file.write_bytes({"truncated": whole[: len(whole) // 2], "garbage": b"\x80\x04\x95" * 50, "empty": b""}[damage])
    with pytest.raises(InputError) as error:
        load_agent(saved)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"format": 99}, "checkpoint format 99; this version of optgap reads format 1"),
        ({"format": None}, "checkpoint format None"),
        ({"steps": -1}, "steps is -1; expected an integer >= 0"),
        ({"updates": True}, "updates is True; expected an integer"),
        ({"agent": "os:system"}, "os:system is not an agent"),
        ({"agent": "this_is_evil:Agent"}, "whose package is not imported"),
        ({"config": {"class": "subprocess:Popen", "fields": {"args": "true"}}}, "is not a configuration dataclass"),
        ({"config": {"class": "optgap.agents.ppo.config:PPOConfig", "fields": {"gama": 1}}}, "has no field 'gama'"),
        ({"config": {"class": "optgap.agents.ppo.config:PPOConfig", "fields": {"gamma": 2}}}, "gamma is 2; expected"),
        ({"config": {"class": "optgap.agents.ppo.config:Gone", "fields": {}}}, "does not exist in this installation"),
        ({"statistics": {"reward_count": "x"}}, "expected finite numbers"),
        ({"statistics": {}}, "reward_count is missing"),
        ({"optimizer": "yes"}, "optimizer is 'yes'; expected bool"),
    ],
)
def test_state_that_cannot_be_used(saved, entries, message):
    change_state(saved, **entries)
    with pytest.raises(InputError, match=r"state\.json") as error:
        load_agent(saved)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_policy_named_by_a_stranger_is_not_imported(saved, tmp_path, monkeypatch):
    (tmp_path / "evil_module.py").write_text("raise SystemExit('code of a stranger has run')")
    monkeypatch.syspath_prepend(tmp_path)
    config = json.loads((saved / "state.json").read_text())["config"]
    config["fields"]["policy"] = "evil_module:Policy"
    change_state(saved, config=config)
    with pytest.raises(InputError, match="import evil_module first if you trust it"):
        load_agent(saved)


def test_tensors_that_do_not_fit(saved):
    weights = load_file(saved / "weights.safetensors")
    save_file(
        {name: tensor for name, tensor in weights.items() if name != "critic.2.bias"}, saved / "weights.safetensors"
    )
    with pytest.raises(
        InputError, match=r"weights.safetensors: tensor 'critic.2.bias' is missing; expected shape \(1,\)"
    ):
        PPO.load(saved)
    save_file({**weights, "extra": torch.zeros(2)}, saved / "weights.safetensors")
    with pytest.raises(InputError, match=r"unexpected tensor 'extra' of shape \(2,\)"):
        PPO.load(saved)
    save_file(weights, saved / "weights.safetensors")
    moments = load_file(saved / "optimizer.safetensors")
    save_file({**moments, "actor.0.bias/exp_avg": torch.zeros(9)}, saved / "optimizer.safetensors")
    with pytest.raises(
        InputError, match=r"optimizer.safetensors: 'actor.0.bias/exp_avg' has shape \(9,\); expected \(4,\)"
    ):
        PPO.load(saved)
    save_file({**moments, "ghost/exp_avg": torch.zeros(4)}, saved / "optimizer.safetensors")
    with pytest.raises(InputError, match="unexpected tensor 'ghost/exp_avg'"):
        PPO.load(saved)


def test_a_kill_while_saving_leaves_the_old_or_the_new_checkpoint(saved, tmp_path, monkeypatch):
    """The save dies before its first change of the file system, its second, and so on until it survives them all."""
    agent, before = PPO.load(saved), read_checkpoint(saved).steps
    found = []
    for survived in range(100):
        agent.steps += 1
        left = survived

        def dying(change):
            def step(*arguments, **options):
                nonlocal left
                left -= 1
                if left < 0:
                    raise KeyboardInterrupt
                return change(*arguments, **options)

            return step

        with monkeypatch.context() as patch:
            for name in ("mkdir", "rename", "write_bytes", "write_text"):
                patch.setattr(Path, name, dying(getattr(Path, name)))
            patch.setattr(shutil, "rmtree", dying(shutil.rmtree))
            try:
                agent.save(saved)
                break
            except KeyboardInterrupt:
                pass
        steps = read_checkpoint(saved).steps
        assert steps in (before, agent.steps)
        found.append(steps == agent.steps)
        load_agent(saved)
        before = steps
    assert found == sorted(found)  # old up to the last renaming, new from there on
    assert len(found) >= 8
    assert True in found
    assert read_checkpoint(saved).steps == agent.steps
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint"]  # and whatever the dead left is cleared up


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        small().save(tmp_path / "file" / "checkpoint")


def test_a_full_disk_is_one_line_and_leaves_the_checkpoint_before(saved, monkeypatch):
    def full(tensors, path):
        path.write_bytes(b"as much as there is room for")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    before = {file.name: file.read_bytes() for file in saved.iterdir()}
    monkeypatch.setattr(module, "save_file", full)
    agent: Any = load_agent(saved)
    with pytest.raises(InputError, match="the checkpoint cannot be written: I/O error: No space left on device"):
        write_checkpoint(saved, agent, 0, agent.policy, replay={"position": torch.tensor(0)})
    assert {file.name: file.read_bytes() for file in saved.iterdir()} == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]  # nothing half written takes room


def test_a_configuration_that_json_cannot_hold(tmp_path):
    agent = small()
    agent.env_config = GymConfig("CartPole-v1", {"object": object()})
    with pytest.raises(InputError, match="cannot be written as json"):
        agent.save(tmp_path / "checkpoint")
    assert list(tmp_path.iterdir()) == []


def test_importing_the_checkpoint_module_is_light():
    code = (
        f"import {module.__name__}, sys; print([m for m in ('stable_baselines3', 'tensorboard') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
