"""``pip install ... | python fetched.py N``: a line for each package that pip fetches, of N."""

import re
import sys

FETCHED = re.compile(
    r"\s*(?:Downloading|Using cached|Processing) (?:\S*/)?([\w.]+)-([\w.+!]+)\S*(.*)"
)
SIZE = re.compile(r"\((\d+(?:\.\d+)?) ([kMG]?)B\)")
FACTOR = {"": 1e-6, "k": 1e-3, "M": 1.0, "G": 1e3}

count = total = 0.0
for line in sys.stdin:
    found = FETCHED.match(line)
    if found and ".metadata" not in line:
        count += 1
        size = SIZE.search(found[3])
        megabytes = float(size[1]) * FACTOR[size[2]] if size else 0.0
        total += megabytes
        told = f"{megabytes:6.1f} MB" if size else "  on disk"
        print(f"  {count:3.0f} of {sys.argv[1]}  {told}  {found[1]} {found[2]}", flush=True)
    elif line.startswith("Installing collected"):
        names = line.count(",") + 1
        print(f"  {total:.0f} MB fetched; unpacking {names} packages, a minute or so", flush=True)
