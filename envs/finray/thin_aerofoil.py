"""Potential flow about a thin plate on links: what Munk, Glauert, Theodorsen and Wagner give for any normal velocity.

A plate of chord 1 along x in [0, 1], x = (1 - cos phi) / 2, moves normally with w(x) relative to the fluid of density 1;
here w is constant over each of n equal links. Sources: Glauert, The Elements of Aerofoil and Airscrew Theory (1926),
ch. VII; Theodorsen, NACA report 496 (1935); R. T. Jones, NACA report 681 (1940) for the two lags of Wagner's function.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

HARMONICS = 400  # of the potential; its rest falls with the fifth power

WAGNER_SHARES = (0.165, 0.335)  # of the circulation that come late: 1 - sum of shares exp(-rate time)
WAGNER_RATES = (0.091, 0.6)  # of chord 1 and speed 1; Jones' 0.0455 and 0.3 are of semichords


def link_angles(links: int) -> F64:
    """(n + 1,) phi at the links' ends."""
    return np.arccos(1.0 - 2.0 * np.arange(links + 1) / links)


def added_mass(links: int) -> F64:
    """(n, n): impulses of the links, normal to them, by the links' normal velocities, without circulation.

    The jump of the potential is sum_m (2 / (pi m)) sin(m phi) int w sin(phi') sin(m phi') dphi'. Of a plate that moves as a
    whole all entries together are pi/4.
    """
    phi = link_angles(links)[:, None]
    m = np.arange(2, HARMONICS + 1)
    first = phi - np.sin(2 * phi) / 2
    parts = np.diff(np.hstack([first, np.sin((m - 1) * phi) / (m - 1) - np.sin((m + 1) * phi) / (m + 1)]), axis=0) / 4
    mass: F64 = 4 / np.pi * (parts / np.arange(1, HARMONICS + 1)) @ parts.T
    return mass


def kutta(links: int) -> F64:
    """(n,): the circulation that lets the flow leave the trailing edge smoothly, by the links' normal velocities."""
    phi = link_angles(links)
    return np.diff(phi) - np.diff(np.sin(phi))


def centred(links: int) -> F64:
    """(n,): shares of the links in the vorticity of a circulation without normal velocity, 1 / (pi sqrt(x (1 - x))).

    They weigh normal velocities to the strength of the leading edge's singularity, Glauert's A_0, as well.
    """
    return np.diff(link_angles(links)) / np.pi


def leading(links: int) -> F64:
    """(n,): shares of the links in the pressure that a wake induces, that of a plate at incidence (centre: 1/4)."""
    phi = link_angles(links)
    return (np.diff(phi) + np.diff(np.sin(phi))) / np.pi
