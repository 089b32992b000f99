"""Processes that a learner starts: what they send is read by a thread each, and they never outlive the learner.

A process has a pipe of its own, so that one that is killed in the middle of a message harms no other; the thread that
reads it may wait for ever without holding up the learner.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import connection, get_context, parent_process
from typing import Any

from optgap.agents.asynchronous.board import Board
from optgap.agents.asynchronous.config import AsynchronousSettings
from optgap.agents.asynchronous.messages import Assignment, Ended, Mail, Parcel, Published
from optgap.co.core import OptgapError

CONTEXT = get_context("spawn")  # a forked process would inherit torch's threads in whatever state they are
PR_SET_PDEATHSIG = 1


class Inbox:
    """What has been sent and not yet received.

    An actor plays no further rollout while :func:`room` of its own ones have not been received, so that all of
    them together are at most ``queue`` (or one an actor). A pipe could not hold them back: it has room for hundreds.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self._mail: queue.Queue[Mail] = queue.Queue()
        self._generations: dict[int, int] = {}

    def begin(self, actor: int, generation: int) -> None:
        """The actor begins anew; what arrives of its earlier life no longer makes room."""
        self._generations[actor] = generation
        self.board.forget(actor)

    def put(self, mail: Mail) -> None:
        self._mail.put(mail)

    def get(self, seconds: float) -> Mail | None:
        """The oldest one; None where there is none in that time."""
        try:
            mail = self._mail.get(timeout=seconds)
        except queue.Empty:
            return None
        if isinstance(mail.content, Parcel) and mail.generation == self._generations.get(mail.actor):
            self.board.take(mail.actor)
        return mail

    def __len__(self) -> int:
        return self._mail.qsize()


class MailEngine:
    """What the engines do alike: policies go out by the board, what is played comes in by the inbox."""

    def __init__(self, assignment: Assignment, published: Published, config: AsynchronousSettings) -> None:
        self.assignment = assignment
        self.board = Board(CONTEXT, config.actors, published)
        self.inbox = Inbox(self.board)

    def publish(self, published: Published) -> None:
        self.board.publish(published)

    def receive(self, seconds: float) -> Mail | None:
        return self.inbox.get(seconds)

    def waiting(self) -> int:
        return len(self.inbox)

    def silent(self, actor: int) -> float | None:
        return self.board.silent(actor)


def room(config: AsynchronousSettings) -> int:
    """Rollouts of one actor that may wait for the learner."""
    return max(1, config.queue // config.actors)


class Child:
    """A process that runs ``target(connection, *arguments)`` and sends :class:`Mail`.

    Args:
        lost: called, in the reading thread, once the process has ended or closed its side; with the exit code.
        note: called with everything that it sends and is no mail.
    """

    def __init__(
        self,
        target: Callable[..., None],
        arguments: tuple[Any, ...],
        inbox: Inbox,
        lost: Callable[[int | None], None],
        note: Callable[[Any], None] = lambda message: None,
    ) -> None:
        self.inbox, self.lost, self.note = inbox, lost, note
        self.connection, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=_run, args=(target, theirs, os.getpid(), arguments), daemon=True)
        # Ctrl-C reaches every process of a terminal: only the learner answers it, and then ends the others.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def ask_to_end(self) -> None:
        """SIGTERM; returns at once."""
        if self.process.is_alive():
            self.process.terminate()

    def end(self, until: float) -> None:
        """SIGKILL where it lives at ``until`` (of ``time.monotonic``); until then it has time to end by itself."""
        self.process.join(max(0.0, until - time.monotonic()))
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self._reader.join(timeout=1.0)
        self.connection.close()

    def _read(self) -> None:
        try:
            while True:
                message = self.connection.recv()
                if isinstance(message, Mail):
                    self.inbox.put(message)
                else:
                    self.note(message)
        except Exception:  # a message that a kill cut short may fail in any way; the process is lost then
            self.process.kill()
        connection.wait([self.process.sentinel])
        self.lost(self.process.exitcode)


def send_failure(send: Callable[[Ended], None], error: Exception) -> None:
    """Report what ended an actor, if anybody listens."""
    known = isinstance(error, OptgapError)
    reason = str(error) if known else f"{type(error).__name__}: {error}"
    try:
        send(Ended(" ".join(reason.split()), fatal=known))
    except OSError:
        return  # the learner is gone


def _run(target: Callable[..., None], pipe: connection.Connection, learner: int, arguments: tuple[Any, ...]) -> None:
    """The process's first call."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))  # so that environments are closed
    _end_with(learner)
    try:
        target(pipe, *arguments)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # what interpreters do at their end takes torch a second


def _end_with(learner: int) -> None:
    """Die when the process ``learner`` dies, in whatever way."""
    if sys.platform == "linux":  # the kernel does it even where a compiled step holds the interpreter for ever
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    if os.getppid() != learner:  # it died before anybody watched
        os._exit(1)
