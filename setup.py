"""Puts k8s/ into the wheel, as katib/k8s, and Plotly's JavaScript; all else of the build is in pyproject.toml.

An editable installation reads the checkout's own, and the images of images/ are built without it.
"""

from importlib.metadata import files
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PLOTLY = {
    "plotly.min.js": "plotly/package_data/plotly.min.js",
    "plotly.LICENSE.txt": "LICENSE.txt",
}
"""The files in katib/templates, and those of Plotly's package, of which a report needs nothing else."""
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
        for name, file in PLOTLY.items():
            (source,) = (one for one in files("plotly") or () if str(one).endswith(file))
            self.copy_file(str(source.locate()), str(Path(self.build_lib, "katib", "templates", name)))

    def get_source_files(self) -> list[str]:
        """Returns what a source distribution must hold."""
        return [*super().get_source_files(), *FILES]


setup(cmdclass={"build_py": Build})
