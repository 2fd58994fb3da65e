"""Members of a zip file that go into another one as they are compressed."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

_LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Of a member: signature, what the directory at the end says, too, and the lengths of name and extra field."""


class OldMembers:
    """The members of an older zip file, to be taken over by a new one where both hold the same.

    What is compressed once need not be compressed again: of a result that is edited, pictures stay as they are.

    Raises:
        zipfile.BadZipFile, OSError: it is no such file, or it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path)
        self._file = path.open("rb")

    def __enter__(self) -> OldMembers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()
        self._file.close()

    def take_over(self, archive: zipfile.ZipFile, name: str, parts: Iterable[bytes | memoryview]) -> bool:
        """Copy the member ``name`` to the end of ``archive``, if its content is that of the ``parts``; tell whether.

        Contents with the same length and the same CRC-32 are taken for the same.
        """
        old = self._archive.NameToInfo.get(name)
        if old is None or old.compress_type != zipfile.ZIP_DEFLATED:
            return False
        size, checksum = 0, 0
        for part in parts:
            size, checksum = size + len(part), zlib.crc32(part, checksum)
        if (size, checksum) != (old.file_size, old.CRC) or archive.fp is None:
            return False
        self._file.seek(old.header_offset)
        signature, name_length, extra_length = _LOCAL_HEADER.unpack(self._file.read(_LOCAL_HEADER.size))
        if signature != b"PK\x03\x04":
            return False
        self._file.seek(name_length + extra_length, 1)
        compressed = self._file.read(old.compress_size)
        if len(compressed) != old.compress_size:
            return False
        new = zipfile.ZipInfo(name)
        new.compress_type, new.external_attr = old.compress_type, old.external_attr
        new.file_size, new.compress_size, new.CRC = old.file_size, old.compress_size, old.CRC
        new.header_offset = archive.fp.tell()
        # As zipfile itself does when a member is closed; it has no way to say that something is compressed already.
        archive.fp.write(new.FileHeader(zip64=True))
        archive.fp.write(compressed)
        archive.start_dir = archive.fp.tell()
        archive.filelist.append(new)
        archive.NameToInfo[name] = new
        archive.comment = archive.comment  # notes that the directory at the end has to be written
        return True
