"""Self-labelling imitation."""
