"""Portfolio optimization: optgap/Portfolio-v0 and the backtest."""
