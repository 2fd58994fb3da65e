"""Train the head that tells transitions from what only looks like one; every step resumes.

python tools/train_transitions.py --work build/transitions --network WEIGHTS --panoramas PANORAMAS

``WEIGHTS`` is the file of ``unish assets fetch transnetv2``. The pictures are clips of the synthetic world and views of
panoramas (.hdr), with the transitions and disturbances of ``transition_set``, and some more. No clip of that set is
among them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from numpy import ndarray
from safetensors.torch import save_file
from torch.nn import functional

from transition_set import (
    PLAIN,
    SIZE,
    TRANSITIONS,
    Dice,
    Mixer,
    Picture,
    Source,
    behind_edge,
    dissolve,
    grid,
    shrink,
    to_bytes,
)
from unish.lab.synthetic import SynthConfig, make_clip
from unish.lab.synthetic.panoramas import read_radiance
from unish.video.shots.transition_network import Described, TransitionHead, TransitionNetwork
from unish.video.shots.transitions import INPUT_SIZE, WINDOW

SEED, RATE = 9300, 12.0
NUM_CLIPS, VIEWS_PER_PANORAMA, FRAMES = 36, 8, 40
NUM_WINDOWS, HELD_BACK, SAVED_EVERY = 480, 40, 40
NUM_CALM = 360
"""Windows that move as most videos do; the others are up to twice as fast again."""
EPOCHS, BATCH, LEARNING_RATE, DECAY, DROPOUT = 10, 8, 1e-3, 5e-2, 0.5
FULL = (2 * SIZE[0], 2 * SIZE[1])


def clock(first: Picture, second: Picture, share: float, dice: Dice) -> Picture:
    rows, columns = grid()
    ramp = (np.arctan2(rows - 0.5, columns - 0.5) / (2 * np.pi) + dice["angle"]) % 1
    return dissolve(first, second, behind_edge(ramp, share, 0.02), dice)  # type: ignore[arg-type]


def blinds(first: Picture, second: Picture, share: float, dice: Dice) -> Picture:
    rows, columns = grid()
    ramp = (rows if dice["choice"] < 0.5 else columns) * (3 + int(dice["quarter"])) % 1 * np.ones(SIZE)
    return dissolve(first, second, behind_edge(ramp, share, 0.1), dice)  # type: ignore[arg-type]


def doors(first: Picture, second: Picture, share: float, dice: Dice) -> Picture:
    rows, columns = grid()
    ramp = 2 * np.abs((rows if dice["choice"] < 0.5 else columns) - 0.5) * np.ones(SIZE)
    ramp = 1 - ramp if int(dice["quarter"]) % 2 else ramp
    return dissolve(first, second, behind_edge(ramp, share, 0.05), dice)  # type: ignore[arg-type]


def defocus(first: Picture, second: Picture, share: float, dice: Dice) -> Picture:
    mixed = dissolve(first, second, float(np.clip((share - 0.3) / 0.4, 0, 1)), dice)
    return cv2.GaussianBlur(mixed, (0, 0), 0.3 + 16 * min(share, 1 - share))


MORE: dict[str, tuple[Mixer, tuple[float, float]]] = {
    "clock": (clock, (0.4, 1.5)),
    "blinds": (blinds, (0.4, 1.5)),
    "doors": (doors, (0.4, 1.5)),
    "defocus": (defocus, (0.4, 1.2)),
}


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A source in one of the ways of ``PLAIN``, at another speed, mirrored or in other colours."""

    draw: Callable[..., Picture]
    source: Source
    other: Source
    dice: Dice
    speed: float
    mirrored: bool
    colours: Float32[ndarray, "3"]

    def at(self, time_s: float) -> Picture:
        picture = self.draw(self.source, self.other, max(time_s, 0.0) * self.speed, self.dice)
        return np.clip((picture[:, ::-1] if self.mirrored else picture) * self.colours, 0, 1)


def sample_shot(rng: np.random.Generator, sources: list[Source], length_s: float, fastest: float) -> Shot:
    kinds = list(PLAIN.values())
    plain = rng.random() < 0.25
    dice = {name: float(rng.random()) for name in ("choice", "side", "seed")}
    speed = float(np.exp(rng.uniform(-0.7, fastest)))
    dice |= {"start": float(rng.uniform(0, 3)), "middle": float(rng.uniform(0.2, 0.8) * length_s * speed)}
    source, other = (sources[int(rng.integers(len(sources)))] for _ in range(2))
    return Shot(
        draw=kinds[0] if plain else kinds[int(rng.integers(len(kinds)))],
        source=source,
        other=other,
        dice=dice,
        speed=speed,
        mirrored=bool(rng.random() < 0.5),
        colours=(np.exp(rng.normal(0, 0.15)) * np.exp(rng.normal(0, 0.06, 3))).astype(np.float32),
    )


def make_window(number: int, sources: list[Source]) -> tuple[UInt8[ndarray, "T 27 48 3"], Bool[ndarray, "T"]]:
    """Pictures of consecutive frames, and which of them belong to a transition (of a cut: the two beside it)."""
    rng = np.random.default_rng([SEED, number])
    rate, drawn = float(rng.uniform(10, 16)), TRANSITIONS | MORE
    pictures: list[UInt8[ndarray, "h w 3"]] = []
    labels: list[bool] = []
    fastest = 0.7
    if number < NUM_CALM:
        sources = [source for source in sources if "fast" not in source.name]
    else:
        fastest = 1.4
    shot, since_s = sample_shot(rng, sources, 3.0, fastest), 0.0
    while len(pictures) < WINDOW:
        mixer, (shortest, longest) = list(drawn.values())[int(rng.integers(len(drawn)))]
        length_s, takes_s = float(rng.uniform(1.0, 4.5)), float(rng.uniform(0.8 * shortest, 1.3 * longest))
        following = sample_shot(rng, sources, length_s, fastest)
        dice = {name: float(rng.random()) for name in ("choice", "angle")} | {"quarter": int(rng.integers(4))}
        num_clean, num_mixed = max(round(length_s * rate), 8), max(round(takes_s * rate) - 1, 0)
        for index in range(num_clean + num_mixed):
            now_s, share = since_s + index / rate, max(index - num_clean + 1, 0) / (num_mixed + 1)
            first = shot.at(now_s)
            mixed = first if share == 0 else mixer(first, following.at((index - num_clean) / rate), share, dice)
            pictures.append(to_bytes(mixed))
            labels.append(0.03 < share < 0.97 or (num_mixed == 0 and index == num_clean - 1))
        if num_mixed == 0:
            labels[-1] = True
        shot, since_s = following, num_mixed / rate
    first_frame = int(rng.integers(len(pictures) - WINDOW + 1))
    chosen = slice(first_frame, first_frame + WINDOW)
    small = [shrink(picture, INPUT_SIZE) for picture in pictures[chosen]]
    return np.stack(small), np.array(labels[chosen])


def read_sources(work: Path, panoramas: Path) -> list[Source]:
    path = work / "clips.npz"
    if not path.exists():
        config = SynthConfig(size=FULL, num_frames=FRAMES, fps=RATE)
        np.savez(path, *(make_clip(10 * SEED, index, config).images for index in range(NUM_CLIPS)))
    with np.load(path) as file:
        clips = [Source(name=name, place=name, rate=RATE, pictures=file[name]) for name in file.files]
    rng = np.random.default_rng(SEED)
    lights = {path.stem: read_radiance(path) for path in sorted(panoramas.rglob("*.hdr"))}
    for kind, radians_per_s in (("slow", 0.15), ("fast", 1.0)):
        for place, light in lights.items():
            for number in range(VIEWS_PER_PANORAMA):
                pictures = film_panorama(rng, light, radians_per_s)
                clips.append(Source(name=f"{place}, {kind}, {number}", place=place, rate=RATE, pictures=pictures))
    return clips


def film_panorama(
    rng: np.random.Generator, light: Float32[ndarray, "H W 3"], radians_per_s: float
) -> UInt8[ndarray, "T 144 256 3"]:
    """A turn with a shaking hand."""
    yaw, speed, pitch = rng.uniform(0, 2 * np.pi), rng.normal(0, radians_per_s), rng.uniform(-0.25, 0.25)
    focal = rng.uniform(0.7, 1.6) * FULL[1] / 2
    rows, columns = np.indices(FULL, dtype=np.float32)
    x, y = (columns - FULL[1] / 2) / focal, (FULL[0] / 2 - rows) / focal
    exposure = 0.5 / max(float(np.percentile(light, 70)), 1e-4)
    bright = (np.clip(light * exposure, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)
    height, width = light.shape[:2]
    frames = []
    for index in range(FRAMES):
        turn = yaw + speed * index / RATE + 0.01 * np.sin(index * 0.7)
        lift = pitch + 0.01 * np.sin(index * 0.9)
        up, ahead = y * np.cos(lift) + np.sin(lift), np.cos(lift) - y * np.sin(lift)
        across = ((np.arctan2(x, ahead) + turn) / (2 * np.pi) % 1 * width).astype(np.float32)
        down = ((0.5 - np.arctan2(up, np.hypot(x, ahead)) / np.pi) * height).astype(np.float32)
        frames.append(cv2.remap(bright, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP))
    return np.stack(frames)


@torch.inference_mode()
def describe_windows(work: Path, network: TransitionNetwork, panoramas: Path) -> list[dict[str, torch.Tensor]]:
    path, windows = work / "windows.pt", []
    if path.exists():
        windows = torch.load(path, weights_only=True)
    if len(windows) < NUM_WINDOWS:
        sources = read_sources(work, panoramas)
    while len(windows) < NUM_WINDOWS:
        pictures, labels = make_window(len(windows), sources)
        kept = {name: value.half() for name, value in vars(network.describe(torch.from_numpy(pictures))).items()}
        windows.append(kept | {"labels": torch.from_numpy(labels)})
        if len(windows) % SAVED_EVERY == 0 or len(windows) == NUM_WINDOWS:
            print(f"{len(windows)} of {NUM_WINDOWS} windows", flush=True)
            torch.save(windows, path)
    return windows


def losses(head: TransitionHead, window: dict[str, torch.Tensor]) -> torch.Tensor:
    described = Described(**{name: window[name].float() for name in ("cells", "similar", "hidden")})
    middle = slice(10, WINDOW - 10)
    return functional.binary_cross_entropy_with_logits(head(described)[middle], window["labels"][middle].float())


def train(windows: list[dict[str, torch.Tensor]], seed: int) -> TransitionHead:
    torch.manual_seed(seed)
    head = TransitionHead(dropout=DROPOUT)
    optimiser = torch.optim.AdamW(head.parameters(), lr=LEARNING_RATE, weight_decay=DECAY)
    learning, held = windows[HELD_BACK:], windows[:HELD_BACK]
    num_steps = EPOCHS * (len(learning) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=num_steps)
    for epoch in range(EPOCHS):
        head.train()
        order = torch.randperm(len(learning))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            loss = torch.stack([losses(head, learning[int(i)]) for i in order[start : start + BATCH]]).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        with torch.inference_mode():
            held_loss = torch.stack([losses(head.eval(), one) for one in held]).mean()
        print(f"epoch {epoch}: last {loss:.3f}, held back {held_loss:.4f}", flush=True)
    return head.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--panoramas", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    network = TransitionNetwork().eval()
    network.load_state_dict(torch.load(arguments.network, weights_only=True))
    head = train(describe_windows(arguments.work, network, arguments.panoramas), arguments.seed)
    save_file(head.state_dict(), arguments.work / "transition_head.safetensors")


if __name__ == "__main__":
    main()
