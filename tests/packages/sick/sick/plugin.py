"""Components each of which has one fault that only a trial finds."""

import lossreg as lr

LOSSES = ["scale", "leaf", "marks", "ignores", "gaps", "claims", "detached", "vector"]


@lr.hookimpl
def lossreg_losses():
    """One loss for each fault."""
    rows = [
        lr.Loss(name, f"sick.parts:{name}", "A loss", target="index", input="logits", averages="sample")
        for name in LOSSES
    ]
    return [*rows, lr.Loss("typed", "sick.parts:typed", "A loss", target="index", defaults={"scale": "2"})]


@lr.hookimpl
def lossreg_optimizers():
    """One that moves nothing, and one that panics."""
    return [
        lr.Optimizer("still", "sick.parts:Still", "An optimizer"),
        lr.Optimizer("panics", "sick.parts:Panics", "An optimizer"),
    ]


@lr.hookimpl
def lossreg_schedulers():
    """One whose rate is below 0."""
    return [lr.Scheduler("below", "sick.parts:below", "A schedule")]


@lr.hookimpl
def lossreg_datasets():
    """One whose model nobody offers."""
    return [lr.Dataset("orphan", "sick.parts:orphan", "Data", model="a_model_of_nobody")]
