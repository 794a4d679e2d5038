"""The edge: settings, keys, use cases, routes and commands."""
