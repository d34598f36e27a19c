# mujoco's compiled part comes without types: whatever is asked of it is taken as it is.
from typing import Any

def __getattr__(name: str) -> Any: ...
