"""The channel between an agent and the processes of its runs: a Unix socket, a secret per run, JSON messages.

Standard library only, since every training process imports it. Only agents import ``channel.server``.
"""
