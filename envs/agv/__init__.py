"""Automated guided vehicles: optgap/AGV-v0."""
