"""How good is a liquidation heatmap? Measures against known positions, and the methods in use to compare with.

Pure: `liqheat score` runs the simulator, the engine and these baselines over one log and judges them alike.
"""
