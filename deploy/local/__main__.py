"""`python -m deploy.local COMMAND`."""

from deploy.local.cli import main

main()
