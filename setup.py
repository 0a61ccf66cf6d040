"""Packages of the distribution: all of ``stableft``, and ``experiments/`` inside it, so that a wheel installs one top level."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["stableft*"]), "stableft.experiments"], package_dir={"stableft.experiments": "experiments"})
