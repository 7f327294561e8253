"""Who holds what, and where: positions opened, closed and observed, from the events of one market."""
