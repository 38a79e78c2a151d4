"""The parts of SceneNet RGB-D's protobuf file that tell objects from walls and lights.

Field names, numbers and types are facts of the published ``scenenet.proto`` (proto2, package ``scenenet``); the
messages are declared here at run time, without generated code. What is not declared (camera poses, object poses) is
skipped by the parser.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any

from kdcli.errors import DataError
from kdcli.rasters import must_exist


class InstanceType(IntEnum):
    """What an instance of a trajectory is."""

    BACKGROUND = 1
    LAYOUT_OBJECT = 2
    LIGHT_OBJECT = 3
    RANDOM_OBJECT = 4


def read_types(path: Path) -> Mapping[str, Mapping[int, InstanceType]]:
    """Return the type of each instance id by render path, such as ``0/223``, from a ``scenenet_rgbd_*.pb``.

    Raises:
        DataError: missing, a Git LFS pointer, or no such file.
    """
    from google.protobuf.message import DecodeError

    must_exist(path)
    message = _trajectories_class()()
    try:
        message.ParseFromString(path.read_bytes())
        found = {
            trajectory.render_path.strip("/"): {
                instance.instance_id: InstanceType(instance.instance_type) for instance in trajectory.instances
            }
            for trajectory in message.trajectories
            if trajectory.render_path
        }
    except (DecodeError, UnicodeDecodeError):
        raise DataError(f"'{path}' does not parse as SceneNet's protobuf; it is truncated, download it again") from None
    if not found:
        raise DataError(f"'{path}' holds no trajectory; give a scenenet_rgbd_val.pb or scenenet_rgbd_train_K.pb")
    return found


@cache
def _trajectories_class() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="kdcli/scenenet.proto", package="scenenet", syntax="proto2")

    def declare(name: str, *fields: tuple[str, int, int, str | None, bool]) -> Any:
        message = file.message_type.add(name=name)
        for field, number, kind, of, repeated in fields:
            label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            message.field.add(name=field, number=number, type=kind, type_name=of, label=label)
        return message

    instance = declare(
        "Instance", ("instance_id", 1, kinds.TYPE_INT32, None, False),
        ("instance_type", 4, kinds.TYPE_ENUM, ".scenenet.Instance.InstanceType", False),
    )
    types = instance.enum_type.add(name="InstanceType")
    for kind in InstanceType:
        types.value.add(name=kind.name, number=kind.value)
    declare(
        "Trajectory", ("instances", 2, kinds.TYPE_MESSAGE, ".scenenet.Instance", True),
        ("render_path", 4, kinds.TYPE_STRING, None, False),
    )
    declare("Trajectories", ("trajectories", 1, kinds.TYPE_MESSAGE, ".scenenet.Trajectory", True))
    pool = descriptor_pool.DescriptorPool()  # of our own: the official generated module may be loaded beside it
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("scenenet.Trajectories"))
