"""Is a folder on a file system of another machine? SQLite's locks and its log do not work there."""

import re
import sys
from pathlib import Path

from batchgen.core.errors import UsageError

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\w*|ncpfs|afs|9p|ceph|lustre|glusterfs"
    r"|fuse\.(sshfs|s3fs|goofys|rclone|gcsfuse|blobfuse2?|mount-s3|mountpoint-s3|davfs2?|glusterfs|ceph\w*|juicefs)"
)
_OBJECT_STORES = re.compile(r"s3fs|goofys|mountpoint-s3|gcsfuse|blobfuse2?|rclone")
"""What some of them call the device where their type is just `fuse`."""
_ESCAPE = re.compile(r"\\([0-7]{3})")


def refuse_network_file_system(folder: Path, mounts: Path = _MOUNTS) -> None:
    """Raise UsageError where a folder, or the one that it would be made in, is known to be on another machine.

    Known on Linux only, from `mounts` (proc_pid_mountinfo(5)).
    """
    if sys.platform != "linux":
        return
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return  # nothing is known of it
    kind = _kind_of(folder.resolve(), lines)
    if kind is not None:
        raise UsageError(
            f"{folder} is on a network file system ({kind}), where a journal is not safe: two machines could buy the"
            " same items, or the journal could be damaged. Use a folder on a local disk: --state DIR for a run whose"
            " outputs go to an object store, --output DIR for others"
        )


def _kind_of(folder: Path, lines: list[str]) -> str | None:
    """Return the type of the file system that a folder is on, if it is one of another machine."""
    longest, kind = -1, None
    for line in lines:
        before, separator, after = line.partition(" - ")
        fields, about = before.split(" "), after.split(" ")
        if not separator or len(fields) < 5 or len(about) < 2:
            continue
        point = Path(_ESCAPE.sub(lambda found: chr(int(found[1], 8)), fields[4]))
        # Of several mounts at one place, the last one is seen.
        if folder.is_relative_to(point) and len(point.parts) >= longest:
            longest = len(point.parts)
            network = _NETWORK.fullmatch(about[0]) or (about[0].startswith("fuse") and _OBJECT_STORES.match(about[1]))
            kind = about[0] if network else None
    return kind
