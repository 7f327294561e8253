"""liqheat: a live, multi-venue liquidation heatmap for perpetual futures.

The package holds what every stage shares: the language of the domain (`liqheat.domain`), the platform
it runs on (`liqheat.platform`), and the command that composes the stages (`liqheat.cli`).
"""

__version__ = "0.1.0"
