"""Show what an agent does."""
