"""Offers observers: one that works, and some that do not."""

import lossreg as lr


@lr.hookimpl
def lossreg_observers():
    """Four observers."""
    return [
        lr.Observer(
            "lines", "tracker_of_acme.observers:Lines", "A line for each event", defaults={"name": "lines.txt"}
        ),
        lr.Observer("down", "tracker_of_acme.observers:Down", "Its server is down"),
        lr.Observer("blind", "tracker_of_acme.observers:Blind", "Has no hook"),
        lr.Observer("needy", "tracker_of_acme.observers:needy", "Its library is not installed"),
    ]
