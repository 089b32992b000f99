"""A training run in a folder: metrics, checkpoints at counted updates, Ctrl-C, and resuming after a kill."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from optgap.agents.common.checkpoint import load_agent
from optgap.agents.common.contracts import Agent, Callback
from optgap.agents.common.metrics import MetricsLog
from optgap.co.core import OptgapError

CHECKPOINT, FINAL = "checkpoint", "final"


def train_run(agent: Agent, folder: str | Path, total_steps: int, callback: Callback | None = None) -> bool:
    """``agent.learn(total_steps)`` with its traces in ``folder``; True unless it was stopped before the end.

    - ``checkpoint/`` is written before the first update and after every ``agent.config.checkpoint_interval``-th one.
      A run that is killed and then resumed from it (:func:`resume_run`) ends with the weights of an uninterrupted one.
    - ``final/`` is written when the run ends, also when Ctrl-C or the callback ends it early. It is the agent to use,
      not to resume: between two boundaries the environments are in the middle of episodes that no file holds.
    - ``metrics.jsonl`` and TensorBoard events: see :class:`optgap.agents.common.metrics.MetricsLog`. The callback's
      metrics are a dictionary: figures that it adds (a validation gap) are recorded with the others.

    An agent that can be resumed at any update (it has ``save_resumable(path)``) writes ``checkpoint/`` when the run ends
    too, also when an :class:`optgap.co.core.OptgapError` ends it.

    The first Ctrl-C ends the run after the current update, the second at once.
    """
    folder = Path(folder)
    stopped = False
    with MetricsLog(folder, agent.updates, agent.steps) as log, deferred_interrupt() as interrupted:
        if agent.updates == 0:
            agent.save(folder / CHECKPOINT)

        def record(agent: Agent, metrics: Mapping[str, float]) -> bool:
            nonlocal stopped
            figures = dict(metrics)
            ended = callback is not None and callback(agent, figures) is False
            log.write(agent.updates, agent.steps, figures)
            if agent.updates % agent.config.checkpoint_interval == 0:
                agent.save(folder / CHECKPOINT)
            stopped = ended or bool(interrupted)
            return not stopped

        save_resumable = getattr(agent, "save_resumable", lambda path: None)
        try:
            agent.learn(total_steps, record)
        except OptgapError:
            save_resumable(folder / CHECKPOINT)
            raise
        save_resumable(folder / CHECKPOINT)
        agent.save(folder / FINAL)
    return not stopped


def resume_run(folder: str | Path, device: str = "cpu") -> Agent:
    """The agent of the run in ``folder`` as it was at its last checkpoint, for :func:`train_run` to continue."""
    return load_agent(Path(folder) / CHECKPOINT, device)


@contextmanager
def deferred_interrupt() -> Iterator[list[int]]:
    """A list that is empty until the first Ctrl-C; the second raises KeyboardInterrupt.

    Outside the main thread, where Python delivers no signals, it stays empty.
    """
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)

    try:
        previous = signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread
        yield seen
        return
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, previous)
