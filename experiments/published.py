"""Published numbers of the sources, read once; not an experiment."""

from pathlib import Path

from stableft.reporting.published import read_curves, read_published

PUBLISHED = read_published(Path(__file__).with_name("published.csv"))
CURVES = read_curves(Path(__file__).with_name("published_curves.csv"))
