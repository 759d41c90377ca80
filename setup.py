"""Puts k8s/ into the wheel, as katib/k8s; all else of the build is in pyproject.toml.

An editable installation reads the checkout's own, and the images of images/ are built without it.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FILES = sorted(str(path) for path in Path("k8s").rglob("*") if path.is_file())


class Build(build_py):
    """Copies the files of k8s/ beside the modules of katib."""

    def run(self) -> None:
        """Builds the packages, then copies."""
        super().run()
        if self.editable_mode:
            return
        for file in FILES:
            target = Path(self.build_lib, "katib", file)
            self.mkpath(str(target.parent))
            self.copy_file(file, str(target))

    def get_source_files(self) -> list[str]:
        """Returns what a source distribution must hold."""
        return [*super().get_source_files(), *FILES]


setup(cmdclass={"build_py": Build})
