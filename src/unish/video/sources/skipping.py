"""Passing over the part of a file that is not asked for, packet by packet, without decoding it."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from av.packet import Packet

SKIPPABLE = frozenset({"h264", "hevc", "av1", "vp9", "mpeg2video", "mjpeg", "prores", "dnxhd", "ffv1"})
"""Codecs of which every packet gives exactly one picture, so that passed packets can be counted as pictures."""


class CannotSkipError(Exception):
    """What would be passed over cannot be placed in time: all of the file has to be decoded."""


@dataclass
class Ledger:
    """The times of all packets so far, by which the index of a frame is known without decoding those before it."""

    complete: bool = True
    _pts: list[int] = field(default_factory=list)

    def record(self, packets: Iterable[Packet]) -> Iterator[Packet]:
        """The same packets, their times taken down."""
        for packet in packets:
            if packet.size and not packet.is_discard:  # neither the end nor a packet that an edit list hides
                if packet.pts is None:
                    self.complete = False
                else:
                    bisect.insort(self._pts, packet.pts)
            yield packet

    def index(self, pts: int) -> int:
        """Number of pictures before this one."""
        return bisect.bisect_left(self._pts, pts)


def pass_over(packets: Iterable[Packet], until: float) -> tuple[list[Packet], int | None]:
    """Read packets up to the time ``until``, in ticks of the stream.

    Returns:
        The packets from the last key frame that is no later than ``until`` on, which are to be decoded next, and the
        time of that frame in ticks: what shows before it is not whole. ``None`` where there was no key frame; all
        packets are there then.
    """
    pending: list[Packet] = []
    first_pts: int | None = None
    for packet in packets:
        if packet.is_keyframe and packet.pts is not None and packet.pts <= until:
            pending, first_pts = [], packet.pts
        pending.append(packet)
        if packet.pts is not None and packet.pts > until:
            break
    return pending, first_pts
