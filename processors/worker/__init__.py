"""The Faust worker: follows the log, keeps checkpoints, sends outputs; it knows the engine by its protocol only."""
