"""orjson: parse to Python's own objects, delete, write. Timed in this process, over documents that it already holds.

Each line of input is a command, each line of output its answer.
"""

import gc
import json
import pathlib
import sys
import time

import orjson

HIDDEN = ("name", "telecom", "address", "birthDate", "identifier")
PICKED = ("resourceType", "id", "status", "code", "effectiveDateTime", "valueQuantity")
SKELETON = ("resourceType", "type", "total")


def hide(resource):
    kind = resource.get("resourceType")
    resource.pop("text", None)
    if kind == "Patient":
        for name in HIDDEN:
            resource.pop(name, None)
    for each in resource.get("contained", ()):
        hide(each)
    if kind == "Bundle":
        for entry in resource.get("entry", ()):
            if "resource" in entry:
                hide(entry["resource"])
    return resource


def pick(resource):
    kind = resource.get("resourceType")
    if kind == "Observation":
        picked = {name: resource[name] for name in PICKED if name in resource}
        subject = resource.get("subject")
        if subject is not None and "reference" in subject:
            picked["subject"] = {"reference": subject["reference"]}
        return picked
    if kind == "Bundle":
        picked = {name: resource[name] for name in SKELETON if name in resource}
        entries = []
        for entry in resource.get("entry", ()):
            if "resource" in entry:
                left = pick(entry["resource"])
                if left:
                    entries.append({"resource": left})
        if entries:
            picked["entry"] = entries
        return picked
    return None


def answer(task, document):
    left = (hide if task == "A" else pick)(orjson.loads(document))
    return orjson.dumps(left) if left else b""


def main():
    # The collector would walk every tree that is alive; nothing here is a cycle.
    gc.disable()
    documents = []
    print(json.dumps(f"{orjson.__version__}, Python {sys.version.split()[0]}"), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        said = None
        if "load" in command:
            folder = pathlib.Path(command["load"])
            documents = [(folder / str(place)).read_bytes() for place in range(command["documents"])]
        elif "answer" in command:
            folder = pathlib.Path(command["into"])
            for place, document in enumerate(documents):
                (folder / f"{place}.out").write_bytes(answer(command["answer"], document))
        elif "time" in command:
            run = hide if command["time"] == "A" else pick
            loads, dumps = orjson.loads, orjson.dumps
            start = time.thread_time_ns()
            for _ in range(command["times"]):
                for document in documents:
                    left = run(loads(document))
                    if left:
                        dumps(left)
            said = time.thread_time_ns() - start
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
