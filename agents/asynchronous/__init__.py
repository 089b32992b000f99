"""Asynchronous parallel training: actors that play for ever, and a learner that waits for none of them."""
