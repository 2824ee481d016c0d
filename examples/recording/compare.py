"""Print the annotations of one SigMF file beside those of another: python compare.py LABELLED TRUTH."""

import sys

import sigmf


def annotations(path: str) -> list[dict[str, float | str]]:
    """Return the annotations of a file, by their start."""
    return list(sigmf.sigmffile.fromfile(path).get_annotations())


def middle(note: dict[str, float | str]) -> float:
    """Return the middle of an annotation's band in Hz."""
    return (float(note["core:freq_lower_edge"]) + float(note["core:freq_upper_edge"])) / 2


def main() -> None:
    """Pair each true signal with the annotation whose band is nearest, of those at the same time."""
    labelled, truth = map(annotations, sys.argv[1:3])
    right = 0
    for true in truth:
        begin = true["core:sample_start"]
        same_time = [
            one
            for one in labelled
            if one["core:sample_start"] < begin + true["core:sample_count"]
            and begin < one["core:sample_start"] + one["core:sample_count"]
        ]
        found = min(same_time, key=lambda one: abs(middle(one) - middle(true)), default=None)
        label = found["core:label"] if found else "not found"
        right += label == true["core:label"]
        off = f"{middle(found) - middle(true):+8.0f} Hz off, {found['core:comment']}" if found else ""
        print(f"{true['core:label']:>8} at {middle(true) / 1e6:.4f} MHz: {label:<10} {off}")
    print(f"{right} of {len(truth)} labels right, {len(labelled)} signals found")


if __name__ == "__main__":
    main()
