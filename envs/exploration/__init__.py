"""Environments whose reward is hard to find or absent: Deep Sea, and mazes of cells and of continuous positions."""
