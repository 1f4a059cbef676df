"""An optional recurrent network over all series: an LSTM (Hochreiter and Schmidhuber 1997) in torch.

It is an ordinary candidate. The setting `demand_lstm` turns it on, and it needs the extra `lstm`
(`pip install 'clm_dagster[lstm]'`). torch is imported when the method runs.

Belongs here: windows, the network, its training. Does not: other methods (`panel_methods`, `local_methods`).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clm_dagster.domains.demand.features import design, targets_of
from clm_dagster.domains.demand.panel_methods import (
    RATIO_LIMIT,
    SEED,
    Ints,
    training_origins,
    zero_when_closed,
)
from clm_dagster.domains.demand.series import Panel, impute_closures
from clm_dagster.statistics.forecasting.css import Floats

if TYPE_CHECKING:
    from torch import Tensor, nn

NAME = "lstm"
MIN_WINDOWS = 200


@dataclass(frozen=True)
class GlobalLSTM:
    """An LSTM that reads a scaled window of the past and predicts all steps ahead, trained by squared loss."""

    name: str = NAME
    window_days: int = 84
    hidden: int = 32
    windows: int = 12_000
    """Maximum number of training windows, so that the cost does not grow with the shop."""
    epochs: int = 12
    batch: int = 128

    def paths(self, panel: Panel, origins: Ints, horizon: int) -> Floats:
        """See panel_methods.Method. Raise ModuleNotFoundError without torch."""
        torch = _torch()
        window = max(4, self.window_days // panel.step)
        past = training_origins(panel, int(origins[0]), horizon, most=60)
        past = past[past >= window]
        found = np.zeros((len(panel), origins.size, horizon))
        if past.size * len(panel) < MIN_WINDOWS:
            return found
        known = panel.until(int(origins[0]))
        before, ahead, scale = _windows(known, past, window, horizon)
        ratio = targets_of(known, past, horizon, int(origins[0])) / scale[:, :, None]
        usable = np.flatnonzero(np.isfinite(scale).ravel() & np.isfinite(ratio).any(axis=2).ravel())
        rng = np.random.default_rng(SEED)
        if usable.size > self.windows:
            usable = np.sort(rng.choice(usable, self.windows, replace=False))
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # reproducible sums, and no contention between cores
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(SEED)
                network = _network(before.shape[-1], ahead.shape[-1], self.hidden)
                parts = [
                    _flatten(values, 2)[usable] for values in (before, ahead, np.minimum(ratio, RATIO_LIMIT))
                ]
                self._train(network, [torch.tensor(part, dtype=torch.float32) for part in parts], rng)
                before, ahead, scale = _windows(panel, origins, window, horizon)
                network_inputs = [torch.tensor(_flatten(v, 2), dtype=torch.float32) for v in (before, ahead)]
                with torch.no_grad():
                    prediction = network(*network_inputs).numpy().astype(float)
        finally:
            torch.set_num_threads(threads)
        found = np.nan_to_num(prediction.reshape(found.shape) * scale[:, :, None])
        return zero_when_closed(np.maximum(found, 0), panel, origins)

    def _train(self, network: "nn.Module", parts: "list[Tensor]", rng: np.random.Generator) -> None:
        torch = _torch()
        before, ahead, targets = parts
        weight = torch.isfinite(targets)
        targets = torch.nan_to_num(targets)
        optimiser = torch.optim.Adam(network.parameters(), lr=3e-3, weight_decay=1e-4)
        rows = len(targets)
        plan = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, max_lr=1e-2, total_steps=self.epochs * -(-rows // self.batch)
        )
        for _ in range(self.epochs):
            order = rng.permutation(rows)
            for start in range(0, rows, self.batch):
                some = torch.from_numpy(order[start : start + self.batch])
                error = (network(before[some], ahead[some]) - targets[some])[weight[some]]
                loss = error.square().mean()
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()
                plan.step()


def _torch() -> Any:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "The LSTM needs torch. Run pip install 'clm_dagster[lstm]', or set CLM_DEMAND_LSTM=false and train again."
        ) from error
    return torch


def _network(before: int, ahead: int, hidden: int) -> "nn.Module":
    """Return a network: an LSTM over the past, and a small head that predicts each step ahead."""
    from torch import cat, nn

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.past = nn.LSTM(before, hidden, batch_first=True)
            self.step = nn.Sequential(
                nn.Linear(hidden + ahead, hidden), nn.ReLU(), nn.Linear(hidden, 1), nn.Softplus()
            )

        def forward(self, past: "Tensor", ahead: "Tensor") -> "Tensor":
            state = self.past(past)[1][0][-1]
            repeated = state[:, None, :].expand(-1, ahead.shape[1], -1)
            prediction: Tensor = self.step(cat([repeated, ahead], dim=-1))[..., 0]
            return prediction

    return Network()


def _windows(panel: Panel, origins: Ints, window: int, horizon: int) -> tuple[Floats, Floats, Floats]:
    """Return past (series, origins, window, 2 + calendar), ahead (series, origins, horizon, calendar) and scale."""
    made = design(panel, origins, horizon)
    calendar = [i for i, name in enumerate(made.names) if name.startswith(("weekday", "day_of", "step"))]
    ahead = _scaled_calendar(made.inputs[..., calendar], [made.names[i] for i in calendar])
    positions = origins[:, None] + np.arange(-window, 0)
    inside = positions >= 0
    values = np.where(inside, impute_closures(panel)[:, np.clip(positions, 0, panel.size - 1)], np.nan)
    ratio = values / made.scale[:, :, None]
    known = np.isfinite(ratio)
    columns = [np.minimum(np.nan_to_num(ratio), RATIO_LIMIT), known.astype(float)]
    if panel.step == 1:
        weekday = (positions + int(panel.dates[0].weekday())) % 7
        columns += [np.broadcast_to(weekday == day, ratio.shape).astype(float) for day in range(7)]
    return np.stack(columns, axis=-1), ahead, made.scale


def _scaled_calendar(inputs: Floats, names: list[str]) -> Floats:
    """Return calendar features scaled to about [-1, 1]; the day of the year becomes a sine and a cosine."""
    parts = []
    for i, name in enumerate(names):
        column = inputs[..., i]
        if name == "day_of_year":
            parts += [np.sin(2 * np.pi * column / 365.25), np.cos(2 * np.pi * column / 365.25)]
        else:
            parts.append(column / {"day_of_month": 31, "step": 28}.get(name, 1))
    return np.stack(parts, axis=-1)


def _flatten(values: Floats, axes: int) -> Floats:
    """Return the values with the first `axes` axes merged into one."""
    return values.reshape(-1, *values.shape[axes:])
