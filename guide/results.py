"""The studies behind the guide run again, their reports put into docs/results/: `make results`.

What has been trained in build/results is not trained again, so that one that was stopped goes on.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from analysis.evidence import SUFFIX
from experiments.mirror import reports_path
from guide.reports import RESULTS, ROOT, GuideError, Study, studies

FILES = [f"report{suffix}" for suffix in (".md", ".csv", ".tex", ".json", ".html", SUFFIX)]


def run(study: Study, root: Path, results: Path) -> None:
    """One sweep with its report. CalledProcessError where a trial has failed."""
    command = [sys.executable, "-m", "ablate", *study.command, "--root", str(root)]
    print("ablate", *study.command, flush=True)
    subprocess.run(command, cwd=ROOT, check=True)
    made = reports_path(root) / study.study / study.setting
    folder = results / study.name
    folder.mkdir(exist_ok=True)
    for name in FILES:
        shutil.copyfile(made / name, folder / name)


def main(names: list[str]) -> None:
    """Those named, or all of results.toml."""
    known = studies(RESULTS)
    missing = [name for name in names if name not in known]
    if missing:
        raise GuideError(f"no result {missing[0]} in results.toml; there are {', '.join(known)}")
    root = ROOT / "build" / "results"
    root.mkdir(parents=True, exist_ok=True)
    for name in names or known:
        run(known[name], root, RESULTS)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (GuideError, subprocess.CalledProcessError) as error:
        sys.exit(str(error))
