"""The errors a person can cause: each message is one line that says what, where and what was expected."""


class OptgapError(Exception):
    """Base of every error that optgap raises on purpose; scripts print it as one line and exit with code 2."""


class InputError(OptgapError, ValueError):
    """A file, a configuration value or an argument that cannot be used; nothing has been written."""


class InfeasibleError(OptgapError, ValueError):
    """A solution breaks a constraint; the message names the constraint and where it broke."""


class InvalidActionError(OptgapError, ValueError):
    """An action that the environment's mask forbids."""


class MissingExtraError(OptgapError, ImportError):
    """An optional dependency is not installed; the message is the pip command that installs it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; run: pip install 'optgap[{extra}]'")
