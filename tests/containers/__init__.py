"""Tests that build the image and run it: `make test-containers`."""
