"""How pictures and clips look once they are decoded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batchgen.judging.look import Look, distance, look_at
from batchgen.simulator.media import Drawing, encode


def drawn(path: Path, prompt: str = "A mug", hue: float = 0.1, seconds: int = 0, seed: int = 0) -> Path:
    path.write_bytes(encode(Drawing(256, 144, prompt, "model · 1", hue, seconds, seed)))
    return path


def seen(path: Path, kind: str = "image") -> Look:
    look = look_at(path, kind)
    assert look is not None
    return look


def flat(path: Path, colour: tuple[int, int, int]) -> Path:
    Image.new("RGB", (300, 200), colour).save(path)
    return path


def clip(path: Path, colour: Callable[[int], tuple[int, int, int]], frames: int = 12, codec: str = "h264") -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=6)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", (64, 48), colour(number)))))
        container.mux(stream.encode())
    return path


def test_a_picture_of_one_colour(tmp_path: Path) -> None:
    red, black = seen(flat(tmp_path / "r.png", (200, 10, 10))), seen(flat(tmp_path / "b.jpg", (4, 4, 4)))
    assert (red.one_colour, red.black) == (True, False)
    assert (black.one_colour, black.black) == (True, True)
    real = seen(drawn(tmp_path / "real.png"))
    assert (real.one_colour, real.black, real.frozen) == (False, False, False)


def test_a_film_that_moves_one_that_stands_and_one_that_is_black(tmp_path: Path) -> None:
    assert not seen(drawn(tmp_path / "real.mp4", seconds=2), "video").frozen
    still = seen(clip(tmp_path / "still.mp4", lambda _: (90, 160, 30)), "video")
    assert (still.frozen, still.one_colour, still.black) == (True, True, False)
    assert seen(clip(tmp_path / "black.mp4", lambda _: (0, 0, 0)), "video").black
    fade = seen(clip(tmp_path / "fade.mp4", lambda n: (n * 20, 0, 0)), "video")
    assert (fade.frozen, fade.black) == (False, False)


def test_a_picture_that_was_encoded_again_is_near_and_another_one_is_far(tmp_path: Path) -> None:
    one = drawn(tmp_path / "one.png")
    with Image.open(one) as image:
        image.convert("RGB").save(tmp_path / "again.jpg", quality=60)
        image.convert("RGB").resize((128, 72)).save(tmp_path / "small.png")
    look = seen(one)
    assert distance(look.hash, look.hash) == 0
    assert max(distance(look.hash, seen(tmp_path / name).hash) for name in ("again.jpg", "small.png")) <= 3
    assert distance(look.hash, seen(drawn(tmp_path / "seed.png", hue=0.6)).hash) >= 6
    assert (
        distance(look.hash, seen(drawn(tmp_path / "other.png", "Twelve chairs on a beach at dawn", seed=3)).hash) >= 5
    )


@pytest.mark.parametrize("kind", ["image", "video"])
@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\nxx", b"\0" * 5000, b"GIF89a"])
def test_what_cannot_be_decoded_is_nothing_and_no_fault(tmp_path: Path, kind: str, content: bytes) -> None:
    (tmp_path / "f").write_bytes(content)
    assert look_at(tmp_path / "f", kind) is None


def test_a_file_that_is_not_there_is_the_callers_matter(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        look_at(tmp_path / "f", "image")


# ---- many kinds of files ------------------------------------------------------------------------------------------


def flower() -> Image.Image:
    """A dark shape off the middle."""
    image = Image.new("L", (90, 60), 255)
    image.paste(0, (10, 10, 50, 45))
    return image


PICTURES: dict[str, Callable[[], Image.Image]] = {
    "L.png": flower,
    "f.gif": lambda: flower().convert("P"),
    "f.webp": lambda: flower().convert("RGB"),
    "f.avif": lambda: flower().convert("RGB"),
    "f.bmp": lambda: flower().convert("1"),
    "f.jpg": lambda: flower().convert("CMYK"),
    "f.tiff": lambda: Image.merge("LA", (flower(), Image.new("L", flower().size, 255))),
    "16.png": lambda: Image.frombytes("I;16", flower().size, b"".join(bytes([0, v]) for v in flower().tobytes())),
    "hole.png": lambda: Image.merge("LA", (Image.new("L", flower().size, 0), flower().point(lambda v: 255 - v))),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_of_every_kind_are_seen(name: str, tmp_path: Path) -> None:
    PICTURES[name]().save(tmp_path / name)
    look = seen(tmp_path / name)
    assert (look.one_colour, look.black, look.frozen) == (False, False, False)
    flower().save(tmp_path / "plain.png")
    hole = 17 if "hole" in name else 0  # what is behind it is grey and not white
    assert distance(look.hash, seen(tmp_path / "plain.png").hash) <= 1 + hole


def test_what_is_transparent_shows_nothing(tmp_path: Path) -> None:
    noise = Image.effect_noise((80, 80), 90)
    Image.merge("RGBA", (noise, noise, noise, Image.new("L", noise.size, 0))).save(tmp_path / "n.png")
    assert seen(tmp_path / "n.png").one_colour
    palette = Image.new("P", (80, 80), 1)
    palette.putpalette([200, 0, 0, 0, 0, 0, 0, 200, 0])
    palette.save(tmp_path / "p.png", transparency=1)
    assert (seen(tmp_path / "p.png").one_colour, seen(tmp_path / "p.png").black) == (True, False)


@pytest.mark.parametrize("name", ["p.mp4", "p.mov", "p.webm", "p.mkv"])
def test_clips_of_every_kind_are_seen(name: str, tmp_path: Path) -> None:
    codec = "libvpx" if name == "p.webm" else "mpeg4"
    look = seen(clip(tmp_path / name, lambda n: (n * 20, 0, 0), codec=codec), "video")
    assert (look.one_colour, look.black, look.frozen) == (True, False, False)


def test_a_clip_of_one_frame_is_a_still(tmp_path: Path) -> None:
    assert seen(clip(tmp_path / "one.mp4", lambda _: (90, 20, 0), frames=1), "video").frozen


def test_a_long_clip_is_looked_at_in_many_places_and_not_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def from_frame(number: int) -> Callable[[int], tuple[int, int, int]]:
        return lambda n: (220, 220, 220) if n >= number else (0, 60, 0)

    assert not seen(clip(tmp_path / "late.mp4", from_frame(700), frames=1000), "video").frozen
    monkeypatch.setattr("batchgen.judging.look._MOST_FRAMES", 600)
    assert seen(tmp_path / "late.mp4", "video").frozen
    assert not seen(clip(tmp_path / "soon.mp4", from_frame(400), frames=1000), "video").frozen
    monkeypatch.setattr("batchgen.judging.look._MOST_IN_ALL", 64 * 48 * 300)
    assert seen(tmp_path / "soon.mp4", "video").frozen


# ---- duplicates ---------------------------------------------------------------------------------------------------


def again(source: Path, target: Path, **options: Any) -> Path:
    """Encode a clip or a picture once more."""
    if target.suffix not in (".mp4", ".webm"):
        with Image.open(source) as image:
            small = image.convert("RGB").resize((image.width // 2, image.height // 2))
            (small if options.pop("half", False) else image.convert("RGB")).save(target, **options)
        return target
    import av

    with av.open(str(source)) as taken, av.open(str(target), "w") as made:
        stream: Any = made.add_stream("libvpx" if target.suffix == ".webm" else "libx264", rate=6, options=options)
        stream.width, stream.height, stream.pix_fmt = 128, 72, "yuv420p"
        for frame in taken.decode(video=0):
            frame.pts = None
            made.mux(stream.encode(frame.reformat(128, 72, "yuv420p")))
        made.mux(stream.encode(None))
    return target


def test_what_was_encoded_again_is_a_duplicate_and_another_seed_is_none(tmp_path: Path) -> None:
    seeds = [
        seen(drawn(tmp_path / f"{seed}.png", hue=seed / 24, seed=seed * 7919)).hash for seed in range(24)
    ]  # as the simulator draws the same prompt with other seeds
    assert min(distance(one, other) for n, one in enumerate(seeds) for other in seeds[:n]) >= 10
    for number in (0, 9, 17):
        source = tmp_path / f"{number}.png"
        copies = [
            again(source, tmp_path / "a.jpg", quality=50), again(source, tmp_path / "a.webp", quality=50),
            again(source, tmp_path / "a.png", half=True), again(source, tmp_path / "a.avif", quality=50),
        ]  # fmt: skip
        assert max(distance(seeds[number], seen(path).hash) for path in copies) <= 4


def test_the_same_for_clips(tmp_path: Path) -> None:
    clips = [drawn(tmp_path / f"{n}.mp4", hue=n / 7, seconds=3, seed=n * 7919) for n in range(4)]
    looks = [seen(path, "video").hash for path in clips]
    assert min(distance(one, other) for n, one in enumerate(looks) for other in looks[:n]) >= 10
    copies = [again(clips[1], tmp_path / "a.mp4", crf="26"), again(clips[1], tmp_path / "a.webm")]
    assert max(distance(looks[1], seen(path, "video").hash) for path in copies) <= 4
