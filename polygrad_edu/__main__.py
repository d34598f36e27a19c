"""``python -m polygrad_edu`` is ``polygrad-edu``."""

from .cli import main

main()
