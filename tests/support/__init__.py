"""Helpers that tests share; no tests in here."""
