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
from trajstore.version.coders import coder
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
        out = np.empty(chunk_spec.shape, np.uint8)
        self._fill(memoryview(chunk_bytes.to_bytes()), out[0])
        return chunk_spec.prototype.nd_buffer.from_numpy_array(out)

    def _fill(self, data: memoryview, frame: np.ndarray) -> None:
        """Decode the frame."""
        coder(self.module).decode(data, {0: frame})

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

    def _fill(self, data: memoryview, frame: np.ndarray) -> None:
        number = data[0] if len(data) > CRC_BYTES else len(data)
        group = data[number + 1 : -CRC_BYTES]
        if google_crc32c.value(bytes(group)) != int.from_bytes(data[-CRC_BYTES:], "little"):
            raise CorruptionError(f"codec {H264}: expected bytes with their crc32c, got others")
        coder(self.module).decode(group, {number: frame})


def register() -> None:
    """Tell zarr-python of the codecs, also where the package's entry points are not at hand."""
    for codec in (JpegFrames, H264Frames):
        register_codec(codec.name, codec)
