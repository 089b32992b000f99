"""What every script shares: key=value command lines (Hydra), plugins, and errors as one line with exit code 2."""

from __future__ import annotations

import importlib
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar, cast, get_type_hints

from hydra import compose, initialize
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from optgap.co.core import InputError, OptgapError

T = TypeVar("T")

PLAIN = re.compile(r"[\w\-/.+@:%*?| ]*", re.ASCII)  # what Hydra's grammar reads as it stands
BRACKETED = ("[", "{", "'", '"')


def run(main: Callable[[list[str]], int | None]) -> None:
    """Call ``main`` with the arguments, and exit: an :class:`OptgapError` is one line and code 2, Ctrl-C code 130."""
    try:
        code = main(sys.argv[1:]) or 0
    except OptgapError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)


def limit_threads(threads: int) -> None:
    """Hold torch to so many threads, whether it has been imported or will be, here or in a child process.

    Raises:
        InputError: fewer than one.
    """
    if threads < 1:
        raise InputError(f"threads is {threads}; expected at least 1")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


@contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Gives a function that raises KeyboardInterrupt once Ctrl-C has been pressed.

    A solver answers Ctrl-C with its incumbent; between two solvers, the caller asks here whether to go on.
    """
    pressed = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        raise KeyboardInterrupt

    def check() -> None:
        if pressed:
            raise KeyboardInterrupt

    previous = signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, previous)


def parse(
    schema: type[T],
    argv: Sequence[str],
    *,
    groups: Mapping[str, Callable[[str], type]] | None = None,
    about: str | None = None,
) -> T:
    """The dataclass ``schema`` with the ``key=value`` arguments of ``argv`` in it, names and types checked.

    Args:
        schema: has a default, or ``MISSING``, for every field. Where it has a field ``plugins``, those packages are
            imported first, so that what they register can be named by the other arguments.
        groups: fields whose value is a name on the command line (``env=jssp``) and, in what is returned, an instance of
            the dataclass that the given function finds behind the name; ``env.jobs=6`` sets a field of it.
        about: what ``--help`` prints above the keys and what they are (typed values and recipes included); then the
            process exits.

    Raises:
        InputError: an unknown key or name, or a value that cannot be used.
    """
    groups = groups or {}
    overrides = [_split(argument) for argument in argv if argument not in ("-h", "--help")]
    import_plugins(_last(overrides, "plugins", "[]"))
    config = OmegaConf.structured(schema)
    arguments, nodes = [], []
    for group, find in groups.items():
        name = _last(overrides, group, str(config[group]))
        nodes.append((group, name, find(name)))
        config[group] = OmegaConf.structured(nodes[-1][-1])
        arguments.append(f"+{group}={name}")
    if len(overrides) < len(argv):
        typed = [f"{key}={value}" for key, value in overrides if key not in groups and key in set(_keys(config))]
        config = cast(DictConfig, OmegaConf.merge(config, OmegaConf.from_dotlist(typed)))
        print(f"{(about or '').strip()}\n\nkeys and their defaults:")
        for key in _keys(config):
            value = OmegaConf.select(config, key, throw_on_missing=False)
            print(f"  {key}=" + ("(must be given)" if value is None and _is_missing(config, key) else str(value)))
        sys.exit(0)
    known = list(_keys(config))
    texts = {name for name, hint in get_type_hints(schema).items() if hint in (str, str | None)}
    for key, value in overrides:
        if key not in groups:
            text = key in texts or isinstance(OmegaConf.select(config, key, throw_on_missing=False), str)
            arguments.append(f"{_known(key, known, config)}={_text(value) if text else _list(value)}")
    store = ConfigStore.instance()
    store.store(name="command", node=schema)
    for group, name, node in nodes:
        store.store(group=group, name=name, node=node)
    try:
        return _compose(arguments)  # type: ignore[no-any-return]
    finally:  # the store is the process's: another command may have plain keys of these names
        for group in groups:
            store.repo.pop(group)


def import_plugins(names: str) -> None:
    """Import the packages of ``[a, b]`` or ``a,b``; the working directory is searched first, as by ``python -m``."""
    packages = [name.strip(" '\"") for name in names.strip("[] ").split(",") if name.strip(" '\"")]
    if packages and "" not in sys.path:
        sys.path.insert(0, "")
    for name in packages:
        if name.startswith("."):
            raise InputError(f"plugins={name}: expected the name of an importable package, not a path")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise InputError(f"plugins={name}: {error}; expected an importable package") from None


def as_list(value: Any) -> list[str]:
    """``a,b`` or a list, as a list of non-empty strings; a comma within brackets (``a:sizes=[1,2],b``) parts nothing."""
    parts = re.split(r",(?![^\[\]]*\])", value) if isinstance(value, str) else list(value)
    return [str(part).strip() for part in parts if str(part).strip()]


def integers(key: str, value: Any) -> list[int]:
    try:
        numbers = [int(item) for item in as_list(str(value) if isinstance(value, int | float) else value)]
    except ValueError:
        raise InputError(f"{key}={value}: expected integers, for instance {key}=0,1,2") from None
    if not numbers:
        raise InputError(f"no number is named in {key}; expected for instance {key}=0,1,2")
    return list(dict.fromkeys(numbers))


def folder(name: str) -> Path:
    """The folder that ``out=`` names, made where it does not exist; :class:`InputError` where it cannot be."""
    path = Path(name)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"out={name}: cannot be made: {error.strerror or error}") from None
    return path


def _split(argument: str) -> tuple[str, str]:
    key, equals, value = argument.partition("=")
    if not equals or not key:
        raise InputError(f"argument {argument!r}; expected key=value (--help lists the keys)")
    return key, value


def _last(overrides: Sequence[tuple[str, str]], key: str, default: str) -> str:
    return next((value.strip("'\"") for name, value in reversed(overrides) if name == key), default)


def _keys(config: DictConfig, prefix: str = "") -> Iterator[str]:
    """Dotted names of everything that can be set."""
    for key in map(str, config):
        value = None if OmegaConf.is_missing(config, key) else config[key]
        if isinstance(value, DictConfig) and OmegaConf.get_type(value) is not dict:
            yield from _keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _is_missing(config: DictConfig, key: str) -> bool:
    parent, _, name = key.rpartition(".")
    return OmegaConf.is_missing(OmegaConf.select(config, parent) if parent else config, name)


def _known(key: str, known: Sequence[str], config: DictConfig) -> str:
    """``key``; with plus signs where it may be new to a dictionary (``env.kwargs.gravity``, ``env.kwargs``)."""
    scope = key
    while scope:
        if scope in known:
            free = isinstance(OmegaConf.select(config, scope, throw_on_missing=False), DictConfig)
            if free or scope == key:
                return f"++{key}" if free else key
        scope = scope.rpartition(".")[0]
    near = get_close_matches(key, known, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    scope = key.rpartition(".")[0]
    listed = [name for name in known if name.startswith(f"{scope}.")] if scope else []
    raise InputError(f"unknown key {key}{hint}; known: {', '.join(listed or known)}")


def _text(value: str) -> str:
    """A text of Hydra's grammar: exactly what was typed, but for quotes around it; ``null`` is None."""
    if value == "null" or (len(value) > 1 and value[0] == value[-1] and value[0] in "'\""):
        return value
    escaped = re.sub(r"(\\+)(?='|$)", r"\1\1", value).replace("'", "\\'")  # backslashes count before a quote alone
    return f"'{escaped}'"


def _list(value: str) -> str:
    """``a,b`` and ``[a,b]`` as a list of Hydra's grammar, anything else as one value."""
    bracketed = value.startswith("[") and value.endswith("]")
    if "[" in value[1:] or not (bracketed or ("," in value and not value.startswith(BRACKETED))):
        return _plain(value)
    items = (value[1:-1] if bracketed else value).split(",")
    return "[" + ",".join(_plain(item.strip()) for item in items if item.strip()) + "]"


def _plain(value: str) -> str:
    """One value of Hydra's grammar, a number where it looks like one."""
    return value if PLAIN.fullmatch(value) or value.startswith(BRACKETED) else _text(value)


def _compose(arguments: list[str]) -> Any:
    try:
        with initialize(version_base="1.3", config_path=None):
            config = compose("command", overrides=arguments)
        missing = OmegaConf.missing_keys(config)
        if missing:
            raise InputError(f"{min(missing)}= is missing (--help lists the keys)")
        return OmegaConf.to_object(config)
    except (HydraException, OmegaConfBaseException) as error:
        what = str(error).split("\n")[0].removeprefix("Error merging override ")
        if error.__cause__ is not None:
            what += ": " + str(error.__cause__).split("\n")[0]
        elif isinstance(error, OverrideParseException):
            what = f"{error.override}: {what}"
        raise InputError(what) from None
    except (TypeError, ValueError) as error:  # a dataclass that refuses its values
        if isinstance(error, OptgapError):
            raise
        raise InputError(f"configuration: {error}") from None
