"""Deep Q-learning, on networks and on boosted trees."""
