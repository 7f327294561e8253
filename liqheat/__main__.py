"""`python -m liqheat`: the same as the command `liqheat`."""

from liqheat.cli.main import main

main()
