"""Pictures of solutions: which functions draw which problem, and files that are written whole or not at all."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from optgap.co.core import InputError, Instance
from optgap.co.formats.files import write_whole

# problem -> module and its functions (instance, solution) -> matplotlib figure, (instance, solution, width=) -> text
DRAWINGS = {
    "job-shop": ("optgap.envs.scheduling.render", "gantt", "gantt_text"),
    "blocking-job-shop": ("optgap.envs.scheduling.render", "gantt", "gantt_text"),
    "path-planning": ("optgap.envs.agv.plans", "path_figure", "path_text"),
    "mapf": ("optgap.envs.agv.plans", "plan_figure", "plan_text"),
    "slicing": ("optgap.envs.slicing.render", "slicing_figure", "slicing_text"),
    **dict.fromkeys(("tsp", "atsp", "cvrp", "op", "kp"), ("optgap.envs.routing.render", "route", "route_text")),
}


def solution_text(problem: str, instance: Instance, solution: Any, width: int) -> str | None:
    """The solution in characters, ``width`` wide; None where the problem has no drawing."""
    if problem not in DRAWINGS:
        return None
    module, _, text = DRAWINGS[problem]
    drawn: str = getattr(import_module(module), text)(instance, solution, width=width)
    return drawn


def save_drawing(problem: str, instance: Instance, solution: Any, path: Path) -> None:
    """Write the solution as a picture, in the format of the path's suffix.

    Raises:
        InputError: the problem has no drawing, the suffix is unknown, or the file cannot be written.
    """
    if problem not in DRAWINGS:
        raise InputError(f"{path}: solutions of {problem} have no drawing; expected one of {', '.join(DRAWINGS)}")
    module, figure, _ = DRAWINGS[problem]
    save_figure(getattr(import_module(module), figure)(instance, solution), path)


def save_figure(figure: Any, path: Path) -> None:
    """Write a matplotlib figure, whole or not at all, in the format of the path's suffix."""
    write_whole(path, lambda stream: figure.savefig(stream, format=path.suffix.removeprefix("."), dpi=150))


def require_writable(path: str, suffixes: tuple[str, ...]) -> None:
    """Refuse a path before the work begins.

    Raises:
        InputError: its folder does not exist, it is a folder, or its suffix is none of ``suffixes``.
    """
    target = Path(path)
    if target.suffix not in suffixes:
        raise InputError(f"{path}: expected a file name that ends in {' or '.join(suffixes)}")
    if not target.absolute().parent.is_dir():
        raise InputError(f"{path}: its folder does not exist")
    if target.is_dir():
        raise InputError(f"{path}: is a folder; expected a file")
