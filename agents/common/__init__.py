"""Rollout storage, advantage estimation, checkpoints, logging, registry."""
