"""Catalogues to search in, shared by the scripts that measure retrieval: factors trained by iALS from generated pairs (or those of
MovieLens 1M) and the bundles built from them, made once and kept under the target directory, and the program that does
the work (benches/measure_retrieval.rs)."""

import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = pathlib.Path(os.environ.get("CINEDEX_SHARED", ROOT / "../shared")).resolve()
CACHE = ROOT / "target/tmp/retrieval"
# Movies and pairs: MovieLens 20M and 32M have 26,744 films and 20 million ratings, 87,585 and 32 million.
GENERATED = {
    "5k": (5_000, 800_000),
    "10k": (10_000, 2_000_000),
    "20k": (20_000, 4_000_000),
    "30k": (30_000, 6_000_000),
    "100k": (100_000, 20_000_000),
    "1m": (1_000_000, 50_000_000),
    "5m": (5_000_000, 150_000_000),
}


def build_program():
    command = ["cargo", "bench", "-p", "cinedex", "--bench", "measure_retrieval", "--no-run", "--message-format=json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    built = [json.loads(line) for line in lines if line.startswith("{")]
    return next(one["executable"] for one in built if one.get("target", {}).get("name") == "measure_retrieval")


def run(program, command, *options):
    """Runs one command and returns the lines of JSON that it prints."""
    words = [str(word) for word in (program, command, *options)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def factors_of(program, name, dimension, threads=2):
    """The file of a catalogue's factors, trained if it is not there: users, movies and dimension as little-endian u64, then the
    users' rows and the movies' as f32."""
    path = CACHE / f"{name}-{dimension}.factors"
    if not path.exists():
        if name == "ml-1m":
            source = ["--text", SHARED / "splits/ml-1m/train.csv"]
        else:
            movies, pairs = GENERATED[name]
            source = ["--movies", movies, "--pairs", pairs, "--epochs", 10 if movies >= 1_000_000 else 16]
        sample = run(program, "train", *source, "--dimension", dimension, "--threads", threads, "--factors", path)
        print(f"trained {path.name}: {json.dumps(sample[0])}", flush=True)
    return path


def index_of(program, name, dimension, users=10_000, threads=2, reuse=False):
    """The folder of a catalogue's index and what building it gave, which is measured again unless the index may be used again."""
    folder = CACHE / f"{name}-{dimension}.indexes"
    figures = folder / "build.json"
    if not (reuse and figures.exists()):
        options = ["--factors", factors_of(program, name, dimension), "--indexes", folder]
        sample = run(program, "build", *options, "--users", users, "--threads", threads)[0]
        figures.write_text(json.dumps(sample))
    return folder, json.loads(figures.read_text())


def print_machine(threads):
    describe = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(describe, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip()
    compiler = subprocess.run(["rustc", "--version"], cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip()
    cpu = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    load = open("/proc/loadavg").read().split()[0]
    print(f"cinedex {commit}, {compiler}; {len(cpu)} x {cpu[0]}, {threads}; load before {load}", flush=True)
