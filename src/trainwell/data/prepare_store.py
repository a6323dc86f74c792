from pathlib import Path
from trainwell.data.prepare import Preparation


def save_preparation(preparation: Preparation, folder: Path) -> None:
    raise NotImplementedError


def load_preparation(folder: Path) -> Preparation:
    raise NotImplementedError
