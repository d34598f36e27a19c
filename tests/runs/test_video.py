import imageio_ffmpeg
import numpy as np
import pytest

from polygrad_edu import environments
from polygrad_edu.files.input_error import InputError
from polygrad_edu.runs import video
from tests.drawing.test_rendering import start


def video_frames(path):
    reader = imageio_ffmpeg.read_frames(str(path))
    width, height = next(reader)["size"]
    return [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]


def test_captions_and_stacks_add_up():
    frame = np.full((100, 80, 3), 7, np.uint8)
    captioned = video.with_caption(frame, "imagined")
    assert captioned.shape == (118, 80, 3)
    assert (captioned[18:] == frame).all()
    assert captioned[:18].min() < 128, "the text is there"
    (stacked,) = video.stack_frames([frame], [captioned])
    assert stacked.shape == (100 + 2 + 118, 80, 3)
    with pytest.raises(ValueError, match="1 and 2 frames"):
        video.stack_frames([frame], [frame, frame])


@pytest.mark.parametrize("shape", [(48, 64), (49, 63)])
def test_a_video_holds_its_frames(tmp_path, shape):
    bright = [np.full((*shape, 3), value, np.uint8) for value in (20, 120, 220)]
    video.write_video(tmp_path / "film.mp4", bright, fps=10)
    frames = video_frames(tmp_path / "film.mp4")
    assert [round(frame.mean() / 100) for frame in frames] == [0, 1, 2]
    assert frames[0].shape == (shape[0] + shape[0] % 2, shape[1] + shape[1] % 2, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_no_frames_no_file(tmp_path):
    with pytest.raises(ValueError, match="at least one frame"):
        video.write_video(tmp_path / "film.mp4", [])
    assert not list(tmp_path.iterdir())


def test_a_runs_video_shows_imagined_real_and_episode(tmp_path):
    env, state = start("InvertedPendulum-v5")
    real = environments.replay_actions(env, state, np.ones((10, 1), np.float32))
    segment = {
        "imagined_states": np.repeat(state[None], 10, axis=0),
        "real_states": real["states"],
        "real_terminals": real["terminals"],
    }
    video.imagined_and_real_video(env, [segment], np.repeat(state[None], 700, axis=0), tmp_path / "run.mp4")
    frames = video_frames(tmp_path / "run.mp4")
    assert len(frames) == 10 * video.HOLD + 234  # 700 states, every third
    above, below = frames[27][: frames[0].shape[0] // 2], frames[27][-frames[0].shape[0] // 2 :]
    assert np.abs(above[20:200].astype(int) - below[20:200].astype(int)).max() > 60, "the simulator's pole has fallen"


def test_a_missing_ffmpeg_is_told_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "nowhere"))
    with pytest.raises(OSError, match=r"film.mp4 could not be written: ") as error:
        video.write_video(tmp_path / "film.mp4", [np.zeros((32, 32, 3), np.uint8)])
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (InputError("it is not drawn"), "it is not drawn"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (ValueError("could not broadcast\ninput"), "ValueError: could not broadcast input"),
        (AssertionError(), "AssertionError: AssertionError"),
    ],
)
def test_whatever_a_film_meets_is_a_reason_in_one_line(error, reason):
    def fail():
        raise error

    assert video.try_to_film(fail) == reason
    assert video.try_to_film(lambda: None) == ""


def test_an_interrupt_is_no_reason():
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        video.try_to_film(interrupted)
