"""Control of nonlinear waves: the Kuramoto-Sivashinsky equation and the viscous Burgers equation, on a periodic line."""
