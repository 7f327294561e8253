"""How each venue writes: one module a venue behind the interface in `base`."""
