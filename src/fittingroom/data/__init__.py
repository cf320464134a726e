"""Data sets: find or fetch, check and read them."""

from fittingroom.data.catalog import DATASETS
from fittingroom.data.dataset import Dataset, Split
from fittingroom.data.sources import load_dataset

__all__ = ["DATASETS", "Dataset", "Split", "load_dataset"]
