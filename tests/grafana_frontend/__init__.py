"""Grafana's own front-end packages, asked in Node: how a panel names its rows, and which options it knows.

`make` installs them (`npm ci`) where Node and npm are. `node` runs them, `frames` makes what they are given.
"""
