"""Files fetched over HTTP into the cache: the only door to pooch."""

from collections.abc import Mapping
from pathlib import Path

from lit_transformer.data.cache import CorpusError, locked, unwritable

RETRIES = 1


def fetch(
    base: str, variable: str, files: Mapping[str, str | None], folder: Path, remedy: str
) -> None:
    """Bring the files under the address `base` into the folder, each once.

    `files`: name and sha256, None where the content is checked by whoever reads it. `variable` is
    the environment's name for another address of the same files, `remedy` another way to come by
    them, for the CorpusError of a fetch that fails.
    """
    import pooch  # here, since commands that fetch nothing import this module too

    # pooch writes to a temporary file, compares its sha256 and only then renames it; a file that
    # lies there already is compared too.
    base = base.rstrip("/") + "/"
    registry = {name: f"sha256:{known}" if known else None for name, known in files.items()}
    fetcher = pooch.create(folder, base, registry=registry, retry_if_failed=RETRIES)
    for name in files:
        try:
            with locked(folder / name):
                fetcher.fetch(name, progressbar=True)
        except (OSError, ValueError) as error:
            # Failures of the network are OSErrors too, but have no number of the system's.
            if isinstance(error, OSError) and error.errno is not None:
                raise unwritable(folder, error) from None
            raise CorpusError(
                f"{base}{name}: cannot be fetched: {_first_line(error)}; try again, or set "
                f"{variable} to another address that serves {remedy}"
            ) from None


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
