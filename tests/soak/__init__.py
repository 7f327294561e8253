"""The local pipeline for a simulated day, sped up: memory and open files of every service over time."""
