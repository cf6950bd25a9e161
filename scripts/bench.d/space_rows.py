"""What objects take on disk, and uploads in memory."""

from support import measure
from tool import Row

MIB = 1 << 20


def stored(bench):
    """bytes on disk beside the bytes stored, of many small incompressible objects"""
    for size, count, at_most in ((64 << 10, 8_000, 1.01), (4 << 10, 32_000, 1.1)):
        with bench.server() as running:
            bench.request(running, "put", bytes=size, count=count, clients=32)
            while_running = measure.folder_bytes(running.data_dir)
            # Stopped, so that every cache is on disk.
            running.stop()
            folders = {name: measure.folder_bytes(running.data_dir / name) for name in ("packs", "index", "meta.redb")}
            folders["all"] = measure.folder_bytes(running.data_dir)
        raw = size * count
        details = {"raw": raw, "while running": while_running} | folders
        for name, text in (("packs", "packs"), ("all", "whole data folder")):
            apparent, allocated = folders[name]
            # Allocated: a journal that is only reserved takes nothing yet.
            ratio = allocated / raw
            yield Row(
                f"stored / raw, {count:,} objects of {size >> 10} KiB: {text}",
                f"{allocated / MIB:.1f} MiB ({apparent / MIB:.1f} apparent)", f"{raw / MIB:.0f} MiB",
                f"<= {at_most}", ratio, ratio <= at_most, details,
            )


def memory(bench):
    """resident memory under 32 uploads of 256 MiB at once"""
    uploads, size = 32, 256 * MIB
    with bench.server() as running:
        idle = running.memory("VmRSS")
        figures = bench.request(running, "put", bytes=size, count=uploads, clients=uploads)
        peak, after = running.memory("VmHWM"), running.memory("VmRSS")
    figures |= {"idle": idle, "peak": peak, "after": after}
    what, limit = f"resident memory, {uploads} uploads of 256 MiB at once", 512 * MIB
    yield Row(what, f"{peak / MIB:.0f} MiB", "512 MiB", "< 512 MiB", peak / limit, peak < limit, figures)
