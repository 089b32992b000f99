"""Routing and selection environments: TSP, ATSP, CVRP, orienteering, knapsack, as BQ-MDPs."""
