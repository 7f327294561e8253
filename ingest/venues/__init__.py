"""One package a venue: `messages` (typed raw structs), `mapper` (pure), `feed` (sockets and polling)."""
