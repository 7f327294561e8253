"""A fake exchange with known positions, speaking the real venues' wire formats on loopback."""
