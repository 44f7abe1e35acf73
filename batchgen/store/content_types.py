"""The content types of the formats that outputs come in, by the extensions that they are given."""

CONTENT_TYPES = {
    "avi": "video/x-msvideo", "avif": "image/avif", "bmp": "image/bmp", "gif": "image/gif", "heic": "image/heic",
    "heif": "image/heif", "ico": "image/x-icon", "jpg": "image/jpeg", "jxl": "image/jxl", "mkv": "video/x-matroska",
    "mov": "video/quicktime", "mp4": "video/mp4", "mpg": "video/mpeg", "ogv": "video/ogg", "png": "image/png",
    "tiff": "image/tiff", "webm": "video/webm", "webp": "image/webp",
}  # fmt: skip
