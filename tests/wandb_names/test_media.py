"""Media: an array, a tensor, a figure or a path in, the bytes of a file out."""

from __future__ import annotations

import io
import json
import wave

import numpy as np
import pytest
from pngs import chunks, frames_of, pixels_of

import lightsweep as wandb
from lightsweep.errors import UsageError
from lightsweep.wandb.media import as_bytes
from lightsweep.wandb.table import as_media

RANDOM = np.random.default_rng(0)


def content(value, stem="0_0"):
    return dict(value.parts(stem))


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 2), (5, 7, 3), (5, 7, 4), (1, 1), (300, 2, 3)])
def test_an_array_of_bytes_becomes_a_png_of_the_same_pixels(shape):
    array = RANDOM.integers(0, 256, shape).astype(np.uint8)
    data = content(wandb.Image(array))[".png"]
    assert np.array_equal(pixels_of(data).reshape(shape), array)


@pytest.mark.parametrize(
    ("values", "bytes_"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 127.0, 255.0], [0, 127, 255]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([-10.0, 0.0, 990.0], [0, 3, 255]),
        ([0.0, float("nan"), float("inf")], [0, 0, 255]),
    ],
)
def test_floats_are_taken_from_zero_to_one_or_from_their_own_range(values, bytes_):
    assert as_bytes(np.array([values])).tolist() == [bytes_]


def test_the_array_may_change_after_the_image_was_made():
    array = np.zeros((2, 2), dtype=np.uint8)
    image = wandb.Image(array)
    array[:] = 255
    assert pixels_of(image.content()).max() == 0


def test_tensors_of_torch():
    torch = pytest.importorskip("torch")
    tensor = torch.rand(3, 5, 7, requires_grad=True)
    expected = np.rint(tensor.detach().numpy().transpose(1, 2, 0) * 255).astype(np.uint8)
    assert np.array_equal(pixels_of(wandb.Image(tensor).content()), expected)
    assert pixels_of(wandb.Image(torch.rand(5, 7).bfloat16()).content()).shape == (5, 7, 1)
    batch = pixels_of(wandb.Image(torch.rand(10, 3, 5, 7)).content())
    assert batch.shape == (2 * (5 + 2) + 2, 8 * (7 + 2) + 2, 3)


def test_an_image_from_a_path_is_the_file_as_it_was_then(tmp_path):
    path = tmp_path / "drawn.jpg"
    path.write_bytes(b"first")
    image = wandb.Image(str(path))
    path.write_bytes(b"second")
    assert content(image) == {".jpg": b"first"}
    with pytest.raises(UsageError, match=r"there is no file '.*gone\.png'"):
        wandb.Image("gone.png")


@pytest.mark.parametrize("value", [np.zeros((2, 2, 7)), np.zeros(3), np.zeros((0, 3)), "x" * 10, object(), ["a", "b"]])
def test_what_is_no_image_is_refused_when_it_is_made(value):
    with pytest.raises(UsageError, match=r"Image takes|there is no file|expected numbers"):
        wandb.Image(value)


def test_captions_masks_boxes_and_classes_are_kept():
    mask = np.array([[0, 1], [2, 3]])
    image = wandb.Image(
        np.zeros((2, 2)),
        caption="two by two",
        masks={"truth": {"mask_data": mask, "class_labels": {0: "sky"}}},
        boxes={"found": {"box_data": [{"position": {"minX": 0}, "class_id": 1}] * 2000}},
        classes=wandb.Classes([{"id": 1, "name": "cat"}]),
    )
    files = content(image)
    assert pixels_of(files["_mask_0.png"])[:, :, 0].tolist() == mask.tolist()
    facts = json.loads(json.dumps(image.facts()))
    assert facts["caption"] == "two by two"
    assert facts["masks"] == ["truth"]
    assert len(facts["boxes"]["found"]["box_data"]) == 1000
    assert facts["classes"] == [{"id": 1, "name": "cat"}]
    assert wandb.Image(image, caption="again").facts()["caption"] == "again"


def test_figures_of_matplotlib_need_no_wrapper():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    axes.plot([1, 2, 3])
    for value in (figure, axes, pyplot, wandb.Image(figure), wandb.Image(pyplot), wandb.Plotly(figure)):
        (media,) = as_media(value)
        assert media.kind == "image"
        assert content(media)[".png"].startswith(b"\x89PNG")
    pyplot.close(figure)


def test_a_video_of_an_array_is_an_animated_png():
    frames = RANDOM.integers(0, 256, (4, 3, 6, 8)).astype(np.uint8)
    video = wandb.Video(frames, fps=10, format="mp4", caption="four")
    data = content(video)[".apng"]
    assert np.array_equal(np.stack(frames_of(data)), frames.transpose(0, 2, 3, 1))
    assert [kind for kind, _ in chunks(data)].count(b"fcTL") == 4
    assert np.array_equal(frames_of(content(wandb.Video(frames[None]))[".apng"])[3], frames[3].transpose(1, 2, 0))
    with pytest.raises(
        UsageError, match=r"Video takes \(time, 1, 3 or 4 channels, height, width\), got shape \(6, 8\)"
    ):
        wandb.Video(frames[0, 0])


def test_videos_and_sounds_of_paths_and_open_files(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"film")
    assert content(wandb.Video("a.mp4")) == {".mp4": b"film"}
    assert content(wandb.Video(io.BytesIO(b"film"), format="webm")) == {".webm": b"film"}
    (tmp_path / "a.flac").write_bytes(b"song")
    assert content(wandb.Audio("a.flac")) == {".flac": b"song"}


@pytest.mark.parametrize(
    ("samples", "written"),
    [
        (np.array([0.0, 1.0, -1.0, 2.0]), [0, 32767, -32767, 32767]),
        (np.array([0, 1, -1, 99999]), [0, 1, -1, 32767]),
        (np.array([[0.0, 1.0], [1.0, 0.0]]), [0, 32767, 32767, 0]),
    ],
)
def test_a_sound_of_an_array_is_a_wav(samples, written):
    with wave.open(io.BytesIO(content(wandb.Audio(samples, sample_rate=8000))[".wav"])) as file:
        assert file.getframerate() == 8000
        assert file.getnchannels() == (1 if samples.ndim == 1 else 2)
        assert np.frombuffer(file.readframes(9), dtype="<i2").tolist() == written
    with pytest.raises(UsageError, match="needs sample_rate"):
        wandb.Audio(samples)


def test_html_of_a_text_a_path_and_an_open_file(tmp_path):
    (tmp_path / "page.html").write_text("<p>file</p>")
    assert content(wandb.Html("<p>text</p>")) == {".html": b"<p>text</p>"}
    assert content(wandb.Html("page.html")) == {".html": b"<p>file</p>"}
    assert content(wandb.Html(tmp_path / "page.html")) == {".html": b"<p>file</p>"}
    assert content(wandb.Html(io.StringIO("<p>open</p>"), inject=False)) == {".html": b"<p>open</p>"}


def test_histograms():
    made = wandb.Histogram([1, 2, 2, float("nan")], num_bins=2)
    assert (made.histogram, made.bins) == ([1, 2], [1, 1.5, 2])
    given = wandb.Histogram(np_histogram=np.histogram(np.arange(10), bins=5))
    assert json.loads(content(given)[".json"])["counts"] == [2] * 5
    assert len(wandb.Histogram(np.arange(10_000), num_bins=9999).histogram) == 512
    with pytest.raises(UsageError, match="3 counts need 4 edges, got 2"):
        wandb.Histogram(np_histogram=([1, 2, 3], [0, 1]))
    with pytest.raises(UsageError, match="Histogram takes"):
        wandb.Histogram()


def test_figures_of_plotly_need_no_wrapper():
    graph_objects = pytest.importorskip("plotly.graph_objects")
    figure = graph_objects.Figure(graph_objects.Scatter(x=[1, 2], y=[3, 4]))
    for value in (figure, wandb.Plotly(figure)):
        (media,) = as_media(value)
        assert json.loads(content(media)[".json"])["data"][0]["type"] == "scatter"
    with pytest.raises(UsageError, match="Plotly takes a figure of plotly or matplotlib, got int"):
        wandb.Plotly(3)
