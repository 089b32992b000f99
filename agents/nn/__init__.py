"""Networks and distributions shared by the agents."""
