"""Gymnasium environments over the problems of optgap.co."""

if __name__ == "envs":
    raise ImportError("import optgap.envs, not envs: the folder is part of the package optgap (pip install optgap)")
