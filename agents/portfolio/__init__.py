"""Agents of portfolio optimization: networks that treat every asset alike, and what they learn with."""
