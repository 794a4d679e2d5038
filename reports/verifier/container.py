"""A bundle as a zip or as its unpacked folder: names checked, sizes bounded, nothing unpacked.

The rules kept here: only names that a bundle can hold, each once, no path that leads elsewhere, no
link, no more bytes than allowed, and no line longer than allowed, whatever the file says of itself.
"""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from reports.verifier.findings import CheckError

MANIFEST, NOTE = "manifest.json", "manifest.note"
_NAME = re.compile(
    r"manifest\.(json|note)|README\.md|verify\.py|tree\.json"
    r"|(annex|checkpoints|facts|headers|keys|orders|personal|purged|receipts|selection)\.jsonl"
    r"|timestamps/[1-9][0-9]{0,18}-[1-9][0-9]{0,2}\.tsr"
    r"|(policies|references|kinds)/sha256-[0-9a-f]{64}\.json"
    r"|bundles/sha256-[0-9a-f]{64}/[a-z0-9_]{1,64}\.(json|txt)"
)
# Timestamps of several authorities, hour by hour, for years.
_MOST_FILES = 200_000
_MOST_BYTES = 64 * 2**30
_LARGEST_DOCUMENT = 256 * 2**20
_LONGEST_LINE = 64 * 2**20
_CHUNK = 1 << 20
# DEFLATE cannot do more than 1032 to 1; records of orders come nowhere near.
_GREATEST_RATIO = 400
_RATIO_FREE_BYTES = 1 << 20


class Container:
    """The files of a bundle.

    Parameters
    ----------
    path
        A zip file or a folder.

    Raises
    ------
    CheckError
        When it holds what a bundle cannot hold.
    """

    def __init__(self, path: Path) -> None:
        self._folder = path if path.is_dir() else None
        self._zip: zipfile.ZipFile | None = None
        self._reading: list[IO[bytes]] = []
        if self._folder is None:
            try:
                self._zip = zipfile.ZipFile(path)
            except (OSError, zipfile.BadZipFile) as error:
                raise CheckError("不是完整的 zip 文件", "it is not a whole zip file") from error
        try:
            self.sizes = self._list_folder() if self._zip is None else self._list_zip(self._zip)
            self._verify_names()
        except BaseException:
            self.close()
            raise

    def _verify_names(self) -> None:
        if len(self.sizes) > _MOST_FILES or sum(self.sizes.values()) > _MOST_BYTES:
            raise CheckError("文件过多或过大", "it holds too many files or bytes")
        for name in self.sizes:
            if not _NAME.fullmatch(name):
                raise CheckError(f"多余的文件 {name!a}", f"there is a file too many: {name!a}")

    def close(self) -> None:
        """Close the zip file, and every file that was not read to its end."""
        for file in self._reading:
            file.close()
        if self._zip is not None:
            self._zip.close()

    def open(self, name: str) -> IO[bytes]:
        """Open a file; raises `CheckError` when there is none."""
        if name not in self.sizes:
            raise CheckError(f"缺少文件 {name}", f"the file {name} is missing")
        if self._zip is not None:
            return self._zip.open(name)
        return (self._folder or Path()).joinpath(name).open("rb")

    def read(self, name: str) -> bytes:
        """Return a whole file that may not be large."""
        with self.open(name) as file:
            content = file.read(_LARGEST_DOCUMENT + 1)
        if len(content) > _LARGEST_DOCUMENT:
            raise CheckError(f"文件 {name} 过大", f"the file {name} is too large")
        return content

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield a file in pieces."""
        with self.open(name) as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def lines(self, name: str) -> Iterator[bytes]:
        """Yield a file's lines without their ends; every line has to end."""
        with self.open(name) as file:
            self._reading.append(file)
            while line := file.readline(_LONGEST_LINE + 1):
                if not line.endswith(b"\n"):
                    raise CheckError(
                        f"{name} 有一行过长或不完整", f"a line of {name} is too long or not whole"
                    )
                yield line[:-1]

    def _list_folder(self) -> dict[str, int]:
        folder, sizes = self._folder or Path(), {}
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise CheckError(f"{name!a} 不是普通文件", f"{name!a} is no ordinary file")
            if path.is_file():
                sizes[name] = path.stat().st_size
            if len(sizes) > _MOST_FILES:
                break
        return sizes

    def _list_zip(self, opened: zipfile.ZipFile) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for info in opened.infolist():
            # The name as written: the library cuts it at a NUL byte.
            if info.filename in sizes or info.orig_filename != info.filename:
                raise CheckError(
                    f"文件名重复或不合法 {info.filename!a}",
                    f"a name stands twice or is not allowed: {info.filename!a}",
                )
            if info.flag_bits & 1 or info.compress_type not in {
                zipfile.ZIP_STORED,
                zipfile.ZIP_DEFLATED,
            }:
                raise CheckError("压缩方式不允许", "a file is encrypted or packed otherwise")
            if info.file_size > _GREATEST_RATIO * info.compress_size + _RATIO_FREE_BYTES:
                raise CheckError(
                    f"{info.filename!a} 膨胀过大", f"{info.filename!a} grows too much when unpacked"
                )
            sizes[info.filename] = info.file_size
        return sizes
