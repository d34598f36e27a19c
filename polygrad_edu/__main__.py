"""``python -m polygrad_edu`` is ``polygrad-edu``."""

from .cli.main import main

main()
