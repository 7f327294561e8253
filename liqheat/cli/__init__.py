"""The composition root: one module a command, the only place that may import every part."""
