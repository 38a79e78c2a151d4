from __future__ import annotations

from kdcli.convert.names import names_of


def test_names_are_those_of_the_source_without_what_only_says_image() -> None:
    assert names_of(["kitchen/rgb/0001.png", "images/a b.jpg", "IMG_20.JPG", "hall/image_02/data/7.png"]) == [
        "kitchen/0001", "a_b", "IMG_20", "hall/image_02/data/7",
    ]


def test_names_differ_where_ids_do_and_for_file_systems_without_capitals() -> None:
    names = names_of(["a/1.png", "a/1.jpg", "A/1.png", "a/rgb/1.png"])
    assert names == ["a/1", "a/1-000001", "A/1-000002", "a/1-000003"]


def test_no_name_is_an_ending_a_way_up_or_the_name_of_a_map() -> None:
    ids = ["../../etc/x.png", "/abs/y.png", "v1.2/f.0001.color.png", "b_mask.png", "depth_3.png", "..", "\u00e9t/z.png"]
    assert names_of(ids) == ["etc/x", "abs/y", "v1_2/f_0001_color", "000003", "000004", "000005", "t/z"]


def test_no_part_begins_with_images() -> None:
    assert names_of(["images2/images_1.png"]) == ["ximages2/ximages_1"]


def test_images_without_names_are_numbered() -> None:
    assert names_of([None, None]) == ["000000", "000001"]
