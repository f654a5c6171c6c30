"""`python -m streamwatch` is the command `streamwatch`."""

from streamwatch.cli.main import main

main()
