"""Gymnasium environments over the problems of optgap.co."""

import gymnasium as gym

if __name__ == "envs":
    raise ImportError("import optgap.envs, not envs: the folder is part of the package optgap (pip install optgap)")

SCHEDULING = "optgap.envs.scheduling"
ROUTING = "optgap.envs.routing"
SLICING = "optgap.envs.slicing"
AGV = "optgap.envs.agv"
FINRAY = "optgap.envs.finray"
PORTFOLIO = "optgap.envs.portfolio"
EXPLORATION = "optgap.envs.exploration"
PDE = "optgap.envs.pde"

# id -> entry points of the single and of the natively batched environment, imported when the first one is made
ENTRY_POINTS = {
    "optgap/JobShop-v0": (f"{SCHEDULING}.env:JobShopEnv", f"{SCHEDULING}.vector_env:JobShopVectorEnv"),
    "optgap/BlockingJobShop-v0": (
        f"{SCHEDULING}.env:BlockingJobShopEnv",
        f"{SCHEDULING}.vector_env:BlockingJobShopVectorEnv",
    ),
    "optgap/TSP-v0": (f"{ROUTING}.env:TSPEnv", f"{ROUTING}.vector_env:TSPVectorEnv"),
    "optgap/ATSP-v0": (f"{ROUTING}.env:ATSPEnv", f"{ROUTING}.vector_env:ATSPVectorEnv"),
    "optgap/CVRP-v0": (f"{ROUTING}.env:CVRPEnv", f"{ROUTING}.vector_env:CVRPVectorEnv"),
    "optgap/OP-v0": (f"{ROUTING}.env:OrienteeringEnv", f"{ROUTING}.vector_env:OrienteeringVectorEnv"),
    "optgap/TinySlicing-v0": (f"{SLICING}.tiny:TinySlicingEnv", f"{SLICING}.tiny:TinySlicingVectorEnv"),
    "optgap/KP-v0": (f"{ROUTING}.env:KnapsackEnv", f"{ROUTING}.vector_env:KnapsackVectorEnv"),
    "optgap/NetworkSlicing-v0": (f"{SLICING}.env:SlicingEnv", f"{SLICING}.vector_env:SlicingVectorEnv"),
    "optgap/AGV-v0": (f"{AGV}.env:AGVEnv", f"{AGV}.vector_env:AGVVectorEnv"),
    "optgap/FinRay-v0": (f"{FINRAY}.env:FinRayEnv", f"{FINRAY}.vector_env:FinRayVectorEnv"),
    "optgap/Portfolio-v0": (f"{PORTFOLIO}.env:PortfolioEnv", f"{PORTFOLIO}.vector_env:PortfolioVectorEnv"),
    "optgap/DeepSea-v0": (f"{EXPLORATION}.env:DeepSeaEnv", f"{EXPLORATION}.vector_env:DeepSeaVectorEnv"),
    "optgap/GridMaze-v0": (f"{EXPLORATION}.env:GridMazeEnv", f"{EXPLORATION}.vector_env:GridMazeVectorEnv"),
    "optgap/PointMaze-v0": (f"{EXPLORATION}.env:PointMazeEnv", f"{EXPLORATION}.vector_env:PointMazeVectorEnv"),
    "optgap/KuramotoSivashinsky-v0": (
        f"{PDE}.env:KuramotoSivashinskyEnv",
        f"{PDE}.vector_env:KuramotoSivashinskyVectorEnv",
    ),
    "optgap/Burgers-v0": (f"{PDE}.env:BurgersEnv", f"{PDE}.vector_env:BurgersVectorEnv"),
}


def register_environments() -> None:
    """Make every id of :data:`ENTRY_POINTS` known to Gymnasium; an id that is known already is left alone."""
    for name, (single, batched) in ENTRY_POINTS.items():
        if name not in gym.registry:
            gym.register(name, entry_point=single, vector_entry_point=batched)
