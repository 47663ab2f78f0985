"""The optimisers of `method.optimizer` side by side: what each has in use, and what it delivers."""

from collections.abc import Iterator
from typing import Any, Final

from bench.autoencoders import ADAM, OURS
from bench.sizes import Search
from bregnas.demo import MLP
from spec import SearchSpec

# λ from three or four trials each at seed 1, such that 12 to 26 % of the parameters are left: λ means something else to
# every optimiser.
METHODS: Final[dict[str, dict[str, Any]]] = {
    "LinBreg": {"optimizer": "linbreg", "lr": 0.1, "lam": 0.07},
    "AdaBreg": {"optimizer": "adabreg", "lr": 0.001, "lam": 0.25},
    "ProxSGD": {"optimizer": "proxsgd", "lr": 0.1, "lam": 0.001},
    "ProxSGD, λ scheduled": {"optimizer": "proxsgd", "lr": 0.1, "lam": 0.003, "lam_schedule": {"end": 0.0003}},
    "prox-Adam": {"optimizer": "proxadam", "lr": 0.001, "lam": 0.15},
    "prox-Adam, λ scheduled": {"optimizer": "proxadam", "lr": 0.001, "lam": 0.3, "lam_schedule": {"end": 0.03}},
    "lasso": {"optimizer": "lasso", "lr": 0.001, "lam": 0.0003},
    "SGD": {"optimizer": "sgd", "lr": 0.1},
    "Adam": {"optimizer": "adam", "lr": 0.001},
}


def baselines() -> Iterator[Search]:
    """784-200-80-10 by neurons on 4,500 images, 40 epochs, two seeds."""
    for seed in (1, 2):
        for name, method in METHODS.items():
            spec = {
                "superstructure": {"kind": "mlp", "widths": [200, 80]}, "task": {"kind": "classify"},
                "data": "mnist-5k", "method": method, "budget": {"epochs": 40}, "finetune": {"epochs": 0},
                "compare": [], "seed": seed,
            }  # fmt: skip
            told = {"part": "baselines", "method": name}
            yield Search(f"baselines {name}, seed {seed}", SearchSpec.model_validate(spec), told)


def delivered() -> Iterator[Search]:
    """The demo's search to its end, and prox-Adam's from a dense start in its place; three seeds, with rivals."""
    methods = {"the demo": MLP["method"], "prox-Adam, λ 0.05": {**ADAM, "lam": 0.05}}
    for name, method in methods.items():
        spec = MLP | {"superstructure": OURS, "method": method, "compare": ["linear", "flat", "scratch"]}
        spec = {key: value for key, value in spec.items() if key != "seed"} | {"seeds": [1, 2, 3]}
        yield Search(f"delivered {name}", SearchSpec.model_validate(spec), {"part": "delivered", "method": name})
