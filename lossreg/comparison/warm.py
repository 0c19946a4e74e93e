"""What the server of worker processes imports before it forks them, so that none has to.

Importing this module is the work: torch, what an optimizer imports in addition, the runner, and what
draws its curves.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import signal

# Ctrl-C reaches this process, too, but is for the one that a person started: when that ends, so does the server, which
# ignores it by itself from when it serves. Workers begin with the handler as it was.
_handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
try:
    for name in ("torch._dynamo", "lossreg.training.api", "lossreg.comparison.worker"):
        importlib.import_module(name)
    with contextlib.suppress(ImportError):  # without it nothing is drawn
        importlib.import_module("matplotlib.backends.backend_agg")
        importlib.import_module("lossreg.pictures.curves")
finally:
    signal.signal(signal.SIGINT, _handler)
gc.collect()
gc.freeze()  # a process that collects garbage would copy all memory of torch
