"""Run as a script: the devices that OpenVINO sees, as JSON. It imports nothing of edgeworthy (see ``asked``)."""

from __future__ import annotations

import json


def main() -> None:
    try:
        import openvino

        told = {"devices": openvino.Core().available_devices, "version": openvino.get_version()}
    except (ImportError, RuntimeError) as error:
        told = {"error": str(error)}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
