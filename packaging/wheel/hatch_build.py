"""Names the platform of the wheel, whose program is not Python's."""

import os

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Platform(BuildHookInterface):
    def initialize(self, version, build_data):
        build_data["tag"] = os.environ["BENCH_TAG"]
        build_data["pure_python"] = False
