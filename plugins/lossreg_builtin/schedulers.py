"""The table of schedulers; nothing here imports torch.

A schedule that ends is told how many epochs or steps it has (`span`), unless the user says it: the run's, or those of
its part of a composed schedule.
"""

from __future__ import annotations

from lossreg import Scheduler

_TORCH = "torch.optim.lr_scheduler"
_COUNTED = {"interval": "interval", "epochs": "epochs", "steps_per_epoch": "steps_per_epoch"}
_COMPOSED = {"span": "span", "interval": "interval"}

SCHEDULERS = [
    Scheduler(
        "lambda_lr",
        "lossreg_builtin.lambda_lr:LambdaLR",
        'Multiplies the base rate by an expression, such as lr_lambda="epoch // 2"',
        required=("lr_lambda",),
        runtime_args=_COUNTED,
    ),
    Scheduler(
        "multiplicative_lr",
        "lossreg_builtin.multiplicative_lr:MultiplicativeLR",
        'Multiplies the rate each time by an expression, such as lr_lambda="0.95"',
        required=("lr_lambda",),
        runtime_args=_COUNTED,
        aliases=("multiplicative",),
    ),
    Scheduler(
        "step_lr",
        f"{_TORCH}:StepLR",
        "Multiplies the rate by gamma every step_size",
        required=("step_size",),
        defaults={"gamma": 0.1},
    ),
    Scheduler(
        "multi_step_lr",
        "lossreg_builtin.multi_step_lr:MultiStepLR",
        "Multiplies the rate by gamma at each milestone",
        required=("milestones",),
        defaults={"gamma": 0.1},
        aliases=("multi_step",),
    ),
    Scheduler(
        "constant_lr",
        f"{_TORCH}:ConstantLR",
        "Multiplies the base rate by a factor until total_iters",
        defaults={"factor": 1.0 / 3},
        runtime_args={"total_iters": "span"},
        aliases=("constant",),
    ),
    Scheduler(
        "linear_lr",
        f"{_TORCH}:LinearLR",
        "A line from start_factor to end_factor of the base rate, over total_iters",
        defaults={"start_factor": 1.0 / 3, "end_factor": 1.0},
        runtime_args={"total_iters": "span"},
        aliases=("linear",),
    ),
    Scheduler(
        "polynomial_lr",
        f"{_TORCH}:PolynomialLR",
        "The base rate times (1 - k / total_iters) ** power",
        defaults={"power": 1.0},
        runtime_args={"total_iters": "span"},
        aliases=("polynomial",),
    ),
    Scheduler(
        "exponential_lr",
        f"{_TORCH}:ExponentialLR",
        "Multiplies the rate by gamma each time",
        required=("gamma",),
        aliases=("exponential",),
    ),
    Scheduler(
        "cosine_annealing_lr",
        f"{_TORCH}:CosineAnnealingLR",
        "Half a cosine from the base rate to eta_min, over T_max",
        defaults={"eta_min": 0.0},
        runtime_args={"T_max": "span"},
        aliases=("cosine", "cosine_annealing"),
    ),
    Scheduler(
        "cosine_annealing_warm_restarts",
        f"{_TORCH}:CosineAnnealingWarmRestarts",
        "Half a cosine over T_0, again and again, each T_mult times as long (SGDR)",
        required=("T_0",),
        defaults={"T_mult": 1, "eta_min": 0.0},
        aliases=("cosine_warm_restarts",),
    ),
    Scheduler(
        "cyclic_lr",
        "lossreg_builtin.cycles:CyclicLR",
        "Up and down between base_lr and max_lr, with the momentum the other way",
        required=("base_lr", "max_lr"),
        defaults={
            "step_size_up": 2000,
            "step_size_down": None,
            "mode": "triangular",
            "gamma": 1.0,
            "cycle_momentum": True,
            "base_momentum": 0.8,
            "max_momentum": 0.9,
        },
        interval="step",
        aliases=("cyclic",),
    ),
    Scheduler(
        "one_cycle_lr",
        "lossreg_builtin.cycles:OneCycleLR",
        "Up to max_lr and down to almost 0, with the momentum the other way (Smith and Topin 2018)",
        required=("max_lr",),
        defaults={
            "pct_start": 0.3,
            "anneal_strategy": "cos",
            "cycle_momentum": True,
            "base_momentum": 0.85,
            "max_momentum": 0.95,
            "div_factor": 25.0,
            "final_div_factor": 1e4,
            "three_phase": False,
        },
        runtime_args={"total_steps": "span"},
        interval="step",
        aliases=("one_cycle",),
    ),
    Scheduler(
        "reduce_lr_on_plateau",
        "lossreg_builtin.plateau:ReduceLROnPlateau",
        "Multiplies the rate by a factor when a metric no longer improves",
        defaults={
            "monitor": "test_loss",
            "mode": "auto",
            "factor": 0.1,
            "patience": 10,
            "threshold": 1e-4,
            "threshold_mode": "rel",
            "cooldown": 0,
            "min_lr": 0.0,
            "eps": 1e-8,
        },
        runtime_args={"better": "monitor_better"},
        monitor="test_loss",
        aliases=("plateau",),
    ),
    Scheduler(
        "sequential_lr",
        "lossreg_builtin.compose:SequentialLR",
        "One schedule after another: sequential(linear(), cosine(), milestones=[5])",
        required=("schedulers", "milestones"),
        runtime_args=_COMPOSED,
        composes=True,
        nested="*schedulers",
        aliases=("sequential",),
    ),
    Scheduler(
        "chained",
        "lossreg_builtin.compose:ChainedScheduler",
        "Several schedules at once: chained(linear(), exponential(gamma=0.9))",
        required=("schedulers",),
        nested="*schedulers",
        aliases=("chained_scheduler",),
    ),
    Scheduler(
        "warmup",
        "lossreg_builtin.compose:Warmup",
        "Raises the rate before another schedule begins: warmup(cosine(), length=5)",
        defaults={"schedule": None, "length": "10%", "start_factor": 1.0 / 3},
        runtime_args=_COMPOSED,
        composes=True,
        nested="schedule",
    ),
]
