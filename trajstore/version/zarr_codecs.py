"""Frames of cameras for zarr-python, which finds these codecs by entry point ``zarr.codecs``."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import google_crc32c
import numpy as np
from zarr.abc.codec import ArrayBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer
from zarr.core.common import JSON
from zarr.registry import register_codec

from trajstore.disk.mapping import CRC_BYTES
from trajstore.errors import CorruptionError
from trajstore.version.cameras import coder
from trajstore.version.layout import H264, JPEG


@dataclass(frozen=True)
class _Frames(ArrayBytesCodec):
    """One frame a chunk, ``uint8[1, height, width, channels]``; settings are kept as they are."""

    name: ClassVar[str]
    module: ClassVar[str]
    is_fixed_size = False

    configuration: dict[str, JSON] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: dict[str, JSON]) -> Self:
        """The codec of an array's metadata."""
        found = data.get("configuration", {})
        return cls(dict(found) if isinstance(found, dict) else {})

    def to_dict(self) -> dict[str, JSON]:
        """The codec as metadata has it."""
        return {"name": self.name, "configuration": self.configuration}

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Refuse: the size follows from the pixels."""
        raise NotImplementedError

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        frames = self._frames(memoryview(chunk_bytes.to_bytes()), chunk_spec.shape[1:])
        return chunk_spec.prototype.nd_buffer.from_numpy_array(frames[-1:])

    def _frames(self, data: memoryview, shape: tuple[int, ...]) -> np.ndarray:
        """Frames of which the wanted one is the last."""
        out = np.empty((1, *shape), np.uint8)
        coder(self.module).decode(data, out)
        return out

    async def _encode_single(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        raise NotImplementedError(
            f"{self.name}: expected to read frames, got some to write; record them with trajstore"
        )


class JpegFrames(_Frames):
    """A JPEG image; the package imagecodecs reads the same."""

    name = JPEG
    module = "jpeg"


class H264Frames(_Frames):
    """A frame of a group: its number, those of the frames before it, the group, its CRC-32C."""

    name = H264
    module = "h264"

    def _frames(self, data: memoryview, shape: tuple[int, ...]) -> np.ndarray:
        number = data[0] if len(data) > CRC_BYTES else len(data)
        group = data[number + 1 : -CRC_BYTES]
        if google_crc32c.value(bytes(group)) != int.from_bytes(data[-CRC_BYTES:], "little"):
            raise CorruptionError(f"codec {H264}: expected bytes with their crc32c, got others")
        out = np.empty((number + 1, *shape), np.uint8)
        coder(self.module).decode(group, out)
        return out


def register() -> None:
    """Tell zarr-python of the codecs, also where the package's entry points are not at hand."""
    for codec in (JpegFrames, H264Frames):
        register_codec(codec.name, codec)
