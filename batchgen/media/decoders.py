"""Which decoder each format has. Only formats that are known by their bytes are decoded, each by its own decoder.

A decoder that guesses might run other programs, or ask other servers, for what a file from a server names.
"""

PILLOW = {
    "png": ("PNG",), "jpg": ("JPEG", "MPO"), "webp": ("WEBP",), "gif": ("GIF",), "bmp": ("BMP",), "tiff": ("TIFF",),
    "avif": ("AVIF",),
}  # fmt: skip
"""Pillow's names of the image formats, by extension."""
FFMPEG = {"mp4": "mov", "mov": "mov", "webm": "matroska", "mkv": "matroska"}
"""FFmpeg's names of the video formats, by extension."""
FFMPEG_OPTIONS = {"protocol_whitelist": "file"}
"""A file that names other addresses is not followed."""
