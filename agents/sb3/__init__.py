"""Adapters of Stable-Baselines3."""
