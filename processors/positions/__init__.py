"""Who stands where: positions opened, closed and observed, from the events of one market."""
