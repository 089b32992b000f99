"""Agents that maximize a reward while the long-run averages of costs stay below limits."""
