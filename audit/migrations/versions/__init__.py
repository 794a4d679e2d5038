"""One file per revision, oldest first; a revision that was released never changes."""

__all__ = ["r0001_log", "r0002_api_keys"]
