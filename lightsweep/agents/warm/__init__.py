"""Start runs as forks of a process that has made their imports: the agent's side in ``templates.py``."""
