"""The engine on one machine: a process an actor."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection

from optgap.agents.asynchronous.board import Board
from optgap.agents.asynchronous.child import Child, MailEngine, room, send_failure
from optgap.agents.asynchronous.config import AsynchronousSettings
from optgap.agents.asynchronous.messages import Assignment, Ended, Mail, Published
from optgap.agents.asynchronous.player import Player
from optgap.agents.common.memory import require_memory

BLINK = 0.01  # seconds between two looks into a full queue
SHORT = 0.5  # seconds that an actor may take to close its environments while the others play
PATIENCE = 3.0  # seconds that it may take at the end
PROCESS_BYTES = 200 * 2**20  # of an actor on a small environment, what it shares with others not counted


class Processes(MailEngine):
    """Processes of the multiprocessing module; an :class:`optgap.agents.asynchronous.engine.Engine`.

    Policies go through shared memory, so an actor has the newest one at every step; rollouts through a pipe an actor.

    Raises:
        InputError: more actors than the machine has memory for.
    """

    def __init__(self, assignment: Assignment, published: Published, config: AsynchronousSettings) -> None:
        require_memory(f"actors is {config.actors}: so many processes", config.actors * PROCESS_BYTES)
        super().__init__(assignment, published, config)
        self.room = room(config)
        self.children: dict[int, Child] = {}

    def start(self, actor: int, generation: int) -> None:
        self.stop(actor)
        self.inbox.begin(actor, generation)

        def lost(code: int | None) -> None:
            self.inbox.put(Mail(actor, generation, Ended(f"its process ended with exit code {code}")))

        arguments = self.assignment, actor, generation, self.board, self.room
        self.children[actor] = Child(play_for_ever, arguments, self.inbox, lost)

    def stop(self, actor: int) -> None:
        child = self.children.pop(actor, None)
        if child is not None:
            child.ask_to_end()
            child.end(time.monotonic() + SHORT)

    def close(self) -> None:
        for child in self.children.values():
            child.ask_to_end()
        until = time.monotonic() + PATIENCE
        for actor in list(self.children):
            self.children.pop(actor).end(until)


def play_for_ever(
    pipe: Connection, assignment: Assignment, actor: int, generation: int, board: Board, room: int
) -> None:
    """An actor's process."""
    shown = sent = 0

    def newest() -> Published | None:
        nonlocal shown
        number = board.number()
        if number == shown:
            return None
        shown = number
        return board.read()

    try:
        player = Player(assignment, actor, generation, newest, lambda: board.beat(actor))
        try:
            while True:
                while sent - board.taken(actor) >= room:  # the queue is full
                    board.beat(actor)
                    time.sleep(BLINK)
                pipe.send(Mail(actor, generation, player.play()))
                sent += 1
        finally:
            player.close()
    except Exception as error:  # whatever an environment does wrong is the learner's to judge
        send_failure(lambda ended: pipe.send(Mail(actor, generation, ended)), error)
