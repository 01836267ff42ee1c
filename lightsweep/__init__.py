"""Hyperparameter sweeps that you own."""
