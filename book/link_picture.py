"""Make the picture that links to the book show: ``python book/link_picture.py``, from the last moving picture's frames.

Links are shown as 1200 to 630; the moving picture is put in the middle.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageSequence

BOOK = Path(__file__).parent
SIZE = (1200, 630)
FRAME = 0.55  # of the way: the motion is there, and the noise can still be seen


def main() -> None:
    with Image.open(BOOK / "images" / "denoising_hopper.gif") as film:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(film)]
    chosen = frames[int(FRAME * len(frames))]
    height = round(chosen.height * SIZE[0] / chosen.width)
    picture = Image.new("RGB", SIZE, "white")
    picture.paste(chosen.resize((SIZE[0], height), Image.Resampling.LANCZOS), (0, (SIZE[1] - height) // 2))
    picture.quantize(128).save(BOOK / "vendor" / "link_picture.png", optimize=True)


if __name__ == "__main__":
    main()
