"""Folders on file systems of other machines, where SQLite is not safe."""

from pathlib import Path

import pytest

from batchgen.core.errors import UsageError
from batchgen.session.outputs.file_systems import refuse_network_file_system

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:30 / /home rw shared:2 - nfs4 server:/home rw,vers=4.2
31 30 8:2 / /home/local rw shared:3 - xfs /dev/sdb1 rw
32 22 0:31 / /mnt/with\\040space rw - cifs //server/films rw
33 22 0:32 / /mnt/bucket rw - fuse mountpoint-s3 rw
34 22 0:33 / /mnt/films rw - fuse.s3fs s3fs rw
35 22 0:34 / /mnt/disk rw - fuseblk /dev/sdc1 rw
36 22 0:35 / /mnt/twice rw - nfs server:/x rw
37 36 8:4 / /mnt/twice rw - ext4 /dev/sdd1 rw
38 22 0:36 / /mnt/optional rw shared:1 master:2 propagate_from:3 - smb3 //server/x rw
broken line
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTS, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/us/output", "nfs4"), ("/mnt/with space/x", "cifs"), ("/mnt/bucket", "fuse"),
        ("/mnt/films/a/b", "fuse.s3fs"), ("/mnt/optional/x", "smb3"),
    ],
)  # fmt: skip
def test_a_folder_on_another_machine_is_refused(mounts: Path, folder: str, kind: str) -> None:
    with pytest.raises(UsageError, match=rf"{folder} is on a network file system \({kind}\).*--state DIR"):
        refuse_network_file_system(Path(folder), mounts)


@pytest.mark.parametrize("folder", ["/tmp", "/home/local/x", "/homes", "/mnt/disk/x", "/mnt/twice/x"])  # noqa: S108
def test_others_are_not(mounts: Path, folder: str) -> None:
    refuse_network_file_system(Path(folder), mounts)


def test_what_is_not_known_is_not_refused(tmp_path: Path) -> None:
    refuse_network_file_system(Path("/home/us"), tmp_path / "none")
