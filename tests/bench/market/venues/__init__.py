"""How the load is written on each venue's wire: one lean module per venue, behind the interface in `base`."""
