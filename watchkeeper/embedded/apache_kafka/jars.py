"""Where the server's jars are: resolved by Maven once, from the coordinates in `pom.xml`, and remembered."""

import os
import re
import shutil
import subprocess
from hashlib import sha256
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory

import platformdirs

from schemas.errors import BadSettings, TransientError

POM = files("watchkeeper.embedded.apache_kafka") / "pom.xml"
JAVA = 17
RESOLVE_S = 600.0
_REMEDY = (
    "on Debian and Ubuntu, `apt install openjdk-17-jre-headless maven`; or leave out --broker kafka, or name brokers of"
    " your own with --kafka HOST:PORT"
)


def java() -> str:
    """The program `java`.

    Raises:
        BadSettings: It is missing, or too old.
    """
    found = shutil.which("java")
    if found is None:
        raise BadSettings(f"Apache Kafka needs Java {JAVA} or newer, and there is no `java`: {_REMEDY}")
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    if version is None or int(version[1]) < JAVA:
        raise BadSettings(f"Apache Kafka needs Java {JAVA} or newer, and `java` is {said.splitlines()[:1]}: {_REMEDY}")
    return found


def installed() -> bool:
    """Whether Maven has resolved the jars already, and they are still there."""
    return _remembered() is not None


def class_path() -> str:
    """The jars' paths, as `java -cp` takes them. Asks Maven the first time, which downloads some 100 MB.

    Raises:
        BadSettings: Maven is missing.
        TransientError: Maven failed, with what it said.
    """
    return _remembered() or _resolved()


def _memory() -> Path:
    digest = sha256(POM.read_bytes()).hexdigest()[:16]
    return Path(platformdirs.user_cache_dir("watchkeeper", appauthor=False)) / f"apache-kafka-{digest}.classpath"


def _remembered() -> str | None:
    try:
        paths = _memory().read_text(encoding="utf-8")
    except OSError:
        return None
    return paths if paths and all(Path(path).is_file() for path in paths.split(os.pathsep)) else None


def _resolved() -> str:
    maven = shutil.which("mvn")
    if maven is None:
        raise BadSettings(f"Apache Kafka's jars come by Maven, and there is no `mvn`: {_REMEDY}")
    with TemporaryDirectory(prefix="watchkeeper-") as folder, as_file(POM) as pom:
        # Beside a copy: Maven writes where its project is.
        copy, answer = Path(folder) / "pom.xml", Path(folder) / "classpath"
        shutil.copyfile(pom, copy)
        goal = ["dependency:build-classpath", f"-Dmdep.outputFile={answer}", "-DincludeScope=runtime"]
        command = [maven, "--batch-mode", "--quiet", "--file", str(copy), *goal]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RESOLVE_S)
        except subprocess.TimeoutExpired:
            raise TransientError(f"Maven did not resolve Apache Kafka's jars within {RESOLVE_S:g} s") from None
        if done.returncode or not answer.is_file():
            said = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line] or ["nothing"]
            raise TransientError(f"Maven could not resolve Apache Kafka's jars; it said: {said[0][:300]}")
        paths = answer.read_text(encoding="utf-8").strip()
    memory = _memory()
    memory.parent.mkdir(parents=True, exist_ok=True)
    new = memory.with_suffix(f".{os.getpid()}")
    new.write_text(paths, encoding="utf-8")
    new.replace(memory)
    return paths
