"""What the server of worker processes imports before it forks them, so that none has to.

Importing this module is the work: torch, what an optimizer imports in addition, and the runner.
"""

from __future__ import annotations

import gc
import importlib

for name in ("torch._dynamo", "lossreg.training.api", "lossreg.comparison.worker"):
    importlib.import_module(name)
gc.collect()
gc.freeze()  # a process that collects garbage would copy all memory of torch
