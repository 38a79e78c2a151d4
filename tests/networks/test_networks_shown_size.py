from __future__ import annotations

import pytest
from torch import nn

from kdcli.errors import SpecError
from kdcli.networks.shown_size import Asked, difference, own_size, parse_shown, remark, shown_size
from kdcli.types import MadeFor


def model(made: MadeFor | None, **members: object) -> nn.Module:
    network = nn.Identity()
    for name, value in {"made_for": made, **members}.items():
        setattr(network, name, value)
    return network


TRAINED = model(MadeFor(train_size=(64, 96), eval_size=(64, 96)))
WINDOWS = model(MadeFor(train_size=(352, 704)))
INSIDE = model(MadeFor(train_size=(256, 256), eval_size=(256, 256), fit="within"))
AROUND = model(MadeFor(train_size=(384, 384), eval_size=(384, 384), fit="around"))


@pytest.mark.parametrize(
    ("network", "asked", "image", "shown"),
    [
        (TRAINED, "own", (480, 640), (64, 96)), (TRAINED, "own", (640, 480), (64, 96)),
        (TRAINED, "native", (480, 640), None), (TRAINED, None, (480, 640), None),
        (TRAINED, (96, 128), (480, 640), (96, 128)), (WINDOWS, "own", (375, 1242), None),
        (WINDOWS, (32, 64), (375, 1242), (32, 64)), (nn.Identity(), "own", (9, 9), None),
        (model(None), "own", (9, 9), None),
        # The longer side has 256 pixels: what isl-org/MiDaS's small_transform gives.
        (INSIDE, "own", (480, 640), (192, 256)), (INSIDE, "own", (640, 480), (256, 192)),
        (INSIDE, "own", (375, 1242), (64, 256)), (INSIDE, "own", (1080, 1920), (128, 256)),
        # The shorter side has 384: what the authors of ZipDepth make of these.
        (AROUND, "own", (480, 640), (384, 512)), (AROUND, "own", (375, 1242), (384, 1280)),
        (AROUND, "own", (1080, 1920), (384, 672)), (AROUND, "own", (427, 640), (384, 576)),
        (AROUND, "native", (427, 640), None), (INSIDE, "own", (100, 100), (256, 256)),
        (INSIDE, "own", (10, 4000), (32, 256)),
    ],
)  # fmt: skip
def test_a_model_is_shown_its_own_size_unless_another_is_asked_for(
    network: nn.Module, asked: Asked | None, image: tuple[int, int], shown: tuple[int, int] | None
) -> None:
    assert shown_size(network, asked, image) == shown


def test_what_the_command_line_says() -> None:
    assert (parse_shown(None), parse_shown("native"), parse_shown("96x128")) == ("own", "native", (96, 128))
    with pytest.raises(SpecError, match="'large' is not HxW"):
        parse_shown("large")
    assert own_size(TRAINED) == (64, 96) and own_size(WINDOWS) is None


def test_a_size_far_from_that_of_training_is_told() -> None:
    told = difference(TRAINED, (480, 640))
    assert told is not None and "480x640" in told and "64x96" in told
    assert difference(TRAINED, (64, 96)) is None and difference(TRAINED, (80, 128)) is None
    assert difference(TRAINED, (32, 48)) is not None and difference(TRAINED, (64, 192)) is not None
    # Measured on whole frames after training on windows of them, as its authors do.
    assert difference(WINDOWS, (352, 1216)) is None and difference(WINDOWS, (3000, 4000)) is not None
    assert difference(INSIDE, (192, 256)) is None and difference(INSIDE, (64, 256)) is None
    assert difference(AROUND, (384, 1280)) is None and difference(AROUND, (1080, 1920)) is not None
    assert difference(nn.Identity(), (9, 9)) is None
    assert difference(model(TRAINED.made_for, input_size=(64, 96)), (480, 640)) is None  # type: ignore[arg-type]


def test_one_remark_about_all_images() -> None:
    assert remark(TRAINED, "own", [((64, 96), (64, 96))]) is None
    said = remark(TRAINED, "own", [((480, 640), (64, 96)), ((64, 96), (64, 96))])
    assert said == "{}: seen at 64x96, as it was trained; --size native for the image's own size"
    elsewhere = model(MadeFor(train_size=(32, 48), eval_size=(64, 96)))
    said = remark(elsewhere, "own", [((480, 640), (64, 96))])
    assert said == "{}: seen at 64x96, for which it was made; --size native for the image's own size"
    warned = remark(TRAINED, "native", [((64, 96), (64, 96)), ((480, 640), (480, 640))])
    assert warned is not None and warned.startswith("warning: {} sees images at 480x640")
    assert remark(TRAINED, (64, 96), [((480, 640), (64, 96))]) is None
    assert remark(nn.Identity(), "own", [((480, 640), (480, 640))]) is None


@pytest.mark.parametrize(("images", "told"), [
    ([(1200, 1600)], "192x256"), ([(1200, 1600), (1600, 1200)], "192x256 and 256x192"),
    ([(1200, 1600), (1600, 1200), (900, 900)], "192x256, 256x192 and 256x256"),
    ([(1200, 1600), (1600, 1200), (900, 900), (600, 1200)], "192x256, 256x192, 256x256 and 1 more"),
    ([(32 * side, 1280) for side in range(1, 41)], "32x256, 64x256, 96x256 and 5 more"),
])
def test_photographs_of_many_shapes_are_told_in_a_few_words(images: list[tuple[int, int]], told: str) -> None:
    pairs = [(image, shown) for image in images if (shown := shown_size(INSIDE, "own", image))]
    assert remark(INSIDE, "own", pairs) == (
        f"{{}}: seen at {told}, in each image's own shape within 256x256, for which it was made; "
        "--size native for the image's own size"
    )


def test_only_what_was_trained_at_a_size_is_said_to_be() -> None:
    for made, size in ((INSIDE, (256, 256)), (AROUND, (384, 384))):
        said = remark(made, "own", [((900, 900), size)])
        assert said is not None and f"seen at {size[0]}x{size[1]}, as it was trained;" in said
    said = remark(AROUND, "own", [((375, 1242), (384, 1280))])
    assert said is not None and "seen at 384x1280, in each image's own shape around 384x384" in said
