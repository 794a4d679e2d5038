"""Trials: the same machinery on public data that the project does not ship."""
