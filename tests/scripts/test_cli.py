"""Command lines: what is typed is what arrives, and what cannot be used is one line."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import MISSING

import cli
from optgap.co.core import InputError, Registry


@dataclass
class Shop:
    jobs: int = 10
    span: Any = (6, 12)
    sizes: list[int] = field(default_factory=lambda: [64, 64])
    rate: float | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise InputError(f"jobs is {self.jobs}; expected at least 1")


@dataclass
class Command:
    env: Any = "shop"
    solvers: Any = field(default_factory=list)
    seconds: float = 1.0
    out: str | None = None
    instance: str = MISSING
    plugins: Any = field(default_factory=list)


KINDS = Registry("environment")
KINDS.register("shop", Shop)


def parse(*arguments: str) -> Command:
    return cli.parse(Command, ["instance=ft06", *arguments], groups={"env": KINDS.load})


def test_defaults_are_those_of_the_dataclasses():
    found = parse()
    assert found == Command(env=Shop(span=[6, 12]), instance="ft06")


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("env.jobs=3", 3),
        ("env.span=6", 6),
        ("env.span=6,7", [6, 7]),
        ("env.span=[6,7]", [6, 7]),
        ("env.sizes=[32]", [32]),
        ("env.rate=3e-4", 3e-4),
        ("env.rate=null", None),
        ("env.extra={gravity: 3}", {"gravity": 3}),
        ("env.extra.gravity=3", {"gravity": 3}),
    ],
)
def test_a_field_of_a_group_is_set(argument, value):
    assert getattr(parse("env=shop", argument).env, argument[4:].partition("=")[0].partition(".")[0]) == value


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("spt", ["spt"]),
        ("spt,mor@3", ["spt", "mor@3"]),
        ("[spt, a/é b]", ["spt", "a/é b"]),
        ("", []),
        ("[]", []),
        ("ppo:sizes=[1,2]+x=3,a2c:sizes=[4]", ["ppo:sizes=[1,2]+x=3", "a2c:sizes=[4]"]),
    ],
)
def test_names_are_one_or_several(typed, found):
    assert cli.as_list(parse(f"solvers={typed}").solvers) == found


@settings(max_examples=40)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_a_text_arrives_as_it_was_typed(text):
    plain = not (text[:1] in ("'", '"') and text[:1] == text[-1:]) and text not in ("null", "???") and "${" not in text
    if plain:
        assert parse(f"out={text}").out == text


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("env.jobs=many", "env.jobs=many: Value 'many' of type 'str' could not be converted to Integer"),
        ("env.jobs=0", "jobs is 0; expected at least 1"),
        ("env.jobz=3", "unknown key env.jobz (did you mean env.jobs?); known: env.jobs, env.span"),
        ("env=sho", "unknown environment 'sho' (did you mean 'shop'?); known: shop"),
        ("second=3", "unknown key second (did you mean seconds?); known: env.jobs"),
        ("seconds=soon", "seconds=soon: Value 'soon'"),
        ("solvers=[a", "solvers=[a: "),
        ("ft06", "argument 'ft06'; expected key=value"),
        ("+seconds=3", "unknown key +seconds"),
        ("hydra.run.dir=x", "unknown key hydra.run.dir"),
        ("plugins=no_such_package", "plugins=no_such_package: No module named 'no_such_package'"),
        ("plugins=..", "plugins=..: expected the name of an importable package"),
        ("out=${nowhere}", "Interpolation key 'nowhere' not found"),
        ("instance=???", "instance= is missing"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_line(argument, said):
    with pytest.raises(InputError) as raised:
        parse(argument)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_plugins_are_imported_before_their_names_are_read(tmp_path, monkeypatch):
    (tmp_path / "my_shops.py").write_text(
        "import dataclasses\n"
        "from optgap.envs.registry import ENVIRONMENTS\n"
        "@dataclasses.dataclass\n"
        "class Mine:\n    beds: int = 2\n"
        "ENVIRONMENTS._targets['my-shop'] = Mine\n"
    )
    from optgap.envs.registry import ENVIRONMENTS

    monkeypatch.setattr(ENVIRONMENTS, "_targets", dict(ENVIRONMENTS._targets))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    arguments = ["instance=x", "plugins=[my_shops]", "env=my-shop", "env.beds=5"]
    found = cli.parse(Command, arguments, groups={"env": ENVIRONMENTS.load})
    assert found.env.beds == 5
    sys.modules.pop("my_shops")


def test_groups_of_one_command_are_plain_keys_of_the_next():
    @dataclass
    class Plain:
        env: str = "here"

    parse("env=shop")
    assert cli.parse(Plain, ["env=there"]).env == "there"


def test_help_lists_every_key_and_its_default(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.parse(Command, ["--help"], groups={"env": KINDS.load}, about="What it does.")
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("What it does.\n")
    assert "  env.jobs=10\n" in out
    assert "  instance=(must be given)\n" in out
    with pytest.raises(SystemExit):
        cli.parse(Command, ["env.jobs=7", "--help"], groups={"env": KINDS.load})
    assert "  env.jobs=7\n" in capsys.readouterr().out  # what was typed, or a recipe put before it


def test_an_interrupt_that_a_solver_swallowed_is_noticed():
    def solver() -> str:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            return "incumbent"
        return "unreachable"

    with cli.interruptible() as check:
        check()
        assert solver() == "incumbent"
        with pytest.raises(KeyboardInterrupt):
            check()


@pytest.mark.parametrize(("error", "code"), [(InputError("a\nb"), 2), (KeyboardInterrupt(), 130)])
def test_errors_become_exit_codes(error, code, capsys, monkeypatch):
    def main(argv: list[str]) -> int:
        raise error

    monkeypatch.setattr(sys, "argv", ["script"])
    with pytest.raises(SystemExit) as ended:
        cli.run(main)
    assert ended.value.code == code
    assert capsys.readouterr().err == ("error: a b\n" if code == 2 else "interrupted\n")
