from __future__ import annotations

import pytest

from kdcli.testing import check_loss

SPECS = [
    "features", "features,taps=enc@2|dec1,teacher_taps=enc@4|pre_head",
    "l1", "l1,form=hu", "l1,form=hu,zero_floor=false", "log-l1", "berhu", "berhu,threshold=0.5", "silog",
    "silog,variance_focus=1,per=image", "ssim", "ssim,border=zero,data_range=1", "gradient", "gradient,form=linear",
    "gradient,form=hu", "gradient,form=hu,zero_floor=false", "normals", "affine-invariant",
    "hu", "hu,zero_floor=false,depth=2,normal=0",
    "affine-invariant,trim=0.2,gradient=0.5", "affine-invariant,align=least-squares",
    "tie-kd", "tie-kd,form=released", "tie-kd-dpm", "tie-kd-dpm,form=released,sigma=0.8", "tie-kd-depth",
    "tie-kd-depth,form=released", "response-ssim", "response-mse", "response-si", "response-ssim-si",
    "response-ssim-mse", "response-ssim-si,form=released",
]


@pytest.mark.parametrize("spec", SPECS)
def test_every_loss_and_form_keeps_the_contract(spec: str) -> None:
    check_loss(spec)
