"""The whole pipeline on one machine without Docker: broker, child processes, data directory."""
