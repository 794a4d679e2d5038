"""The edge: HTTP, command line, clock, keys and environment, and nothing else.

Read `app` (what is served), `usecases/decide` (the main path), `wiring` (how settings become a
running platform). Everything here calls inwards; nothing inside knows of this package.
"""
