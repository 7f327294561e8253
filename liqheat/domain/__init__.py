"""The language of the field: events, instruments, margin tiers, liquidation prices, price grid, money, windows.

Everything here is pure: no clock, no socket, no Kafka. All stages import it; it imports no stage.
"""
