"""One package per venue: `messages` (typed raw structs), `mapper` (pure), `feed` (sockets and polling)."""
