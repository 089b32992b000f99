"""Gradient-boosted trees for reinforcement learning."""

if __name__ == "gbrl":
    raise ImportError("import optgap.gbrl, not gbrl: the folder is part of the package optgap (pip install optgap)")
