"""A setting of Table 3 for faults: all twenty rows, each so small that a trial takes seconds."""

from pathlib import Path

from tests.toy import write_toy


def write_setting(folder: Path) -> Path:
    """The YAML file, in `folder`, of a corpus that is written beside it."""
    corpus = folder / "corpus"
    write_toy(corpus)
    text = (Path(__file__).parent / "setting.yaml").read_text()
    setting = folder / "chaos.yaml"
    setting.write_text(text.replace("FOLDER", str(corpus)))
    return setting
