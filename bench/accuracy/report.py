"""The tables."""

from __future__ import annotations

import math
from typing import Any

from bench.accuracy import rates
from bench.accuracy.display_report import print_display, print_smoothing
from bench.accuracy.dynamics import METHODS, ORACLE
from bench.accuracy.main_table import AGAINST, METRICS, PAIRED
from bench.accuracy.rows import ONE_EURO, ONE_EURO_BETA, ONE_EURO_MIN_CUTOFF_HZ, RAW, STREAM
from bench.accuracy.targets import targets
from bench.accuracy.videos import KINDS, LANDMARKS
from bench.table import print_table


def report(summary: dict[str, Any]) -> None:
    """Prints every section that the summary holds."""
    if summary.get("main"):
        _main(summary)
    if summary.get("rotations"):
        _rotations(summary["rotations"])
    if summary.get("dynamics"):
        _dynamics(summary["dynamics"])
    if summary.get("display") or summary.get("smoothing"):
        print("\n{counted} of {frames} frames tracked, {takes} of {takes_drawn} takes".format(**summary))
    if summary.get("display"):
        print_display(summary["display"])
    if summary.get("smoothing"):
        print_smoothing(summary["smoothing"])
    if summary.get("rates"):
        _rates(summary["rates"])
    for clip in summary.get("videos", ()):
        _video(clip)
    if held := targets(summary):
        _title("targets")
        print_table(("", "", "", ""), [target.as_row() for target in held])


def _title(text: str) -> None:
    print(f"\n== {text}")


def _number(value: float, digits: int = 1, sign: str = "") -> str:
    return "-" if math.isnan(value) else f"{value:{sign}.{digits}f}"


def _main(summary: dict[str, Any]) -> None:
    table = summary["main"]
    _title(
        f"{summary['counted']} of {summary['frames']} frames tracked by every row, {table['takes']} of "
        f"{summary['takes_drawn']} takes; mm, mm/frame² at 30 fps; +: with neck and head"
    )
    rows = table["rows"]
    print_table(
        ("", *(heading for heading, _ in METRICS.values())),
        [
            [row, *(_number(scores.get(m, math.nan), digits) for m, (_, digits) in METRICS.items())]
            for row, scores in rows.items()
        ],
    )
    if "mirror" in summary:
        print(f"rows that do not name perception.mirror: {summary['mirror']}")
    if ONE_EURO in rows:
        print(f"One-Euro: {ONE_EURO_MIN_CUTOFF_HZ:g} Hz at rest, {ONE_EURO_BETA:g} Hz per m/s")
    compared = (*PAIRED, "lag_ms")
    for key, name in AGAINST.items():
        if key in table["against"]:
            _title(f"minus {name}: difference ± standard error over takes (ratio)")
            print_table(
                ("", *(METRICS[m][0] for m in compared)),
                [[row, *(_pair(pairs[m]) for m in compared)] for row, pairs in table["against"][key].items()],
            )
    for title, groups in (("view", table["by_view"]), ("subject", table["by_subject"])):
        _title(f"by {title}: {RAW} → {STREAM}, difference ± standard error")
        print_table(
            (title, "takes", *(METRICS[m][0] for m in PAIRED)),
            [
                [name, str(group["takes"]), *(_change(group, m) for m in PAIRED)]
                for name, group in groups.items()
            ],
        )


def _pair(pair: dict[str, float]) -> str:
    ratio = f" ({pair['ratio']:.2f})" if "ratio" in pair else ""
    return f"{_number(pair['mean'], sign='+')} ± {_number(pair['standard_error'])}{ratio}"


def _change(group: dict[str, Any], metric: str) -> str:
    pair = group["against"]["raw"][STREAM][metric]
    before, after = (_number(group["rows"][row][metric]) for row in (RAW, STREAM))
    return f"{before} → {after}, {_number(pair['mean'], sign='+')} ± {_number(pair['standard_error'])}"


def _rotations(section: dict[str, Any]) -> None:
    rows = section["rows"]
    ceiling = section.get("ceiling", {})
    _title(
        "rotations: mean geodesic error, degrees (ratio to the mean pose)"
        + ("; [in brackets: inverse kinematics on the true markers, no bound]" if ceiling else "")
    )
    groups = rows[STREAM]["groups"]

    def cell(group: dict[str, float]) -> str:
        ratio = f" ({group['ratio']:.2f})" if "ratio" in group else ""
        return f"{group['error_deg']:.1f}{ratio}"

    print_table(
        ("", "mean pose", *rows, *(f"[{column}]" for column in ceiling)),
        [
            [
                name,
                _number(own.get("mean_pose_deg", math.nan)),
                *(cell(own["groups"][name]) for own in (*rows.values(), *ceiling.values())),
            ]
            for name, own in groups.items()
        ],
    )
    knees = rows[STREAM]["standing_knees"]
    print(
        f"knees of who stands upright and still ({knees['frames']} frames of {knees['takes']} takes), truth "
        f"{_number(knees['true_deg'])}°: "
        + ", ".join(
            f"{name} {_number(row['standing_knees']['bias_deg'], sign='+')}°" for name, row in rows.items()
        )
    )


def _dynamics(section: dict[str, Any]) -> None:
    for row, horizons in section.items():
        for frames in ("all", "fastest third"):
            _title(
                f"dynamics of {row}, {frames}: position / displacement error, mm (ratios to hold last); "
                "[in brackets: an oracle]"
            )
            table = []
            for horizon, groups in horizons.items():
                own = groups[frames]
                table.append(
                    [f"{horizon} ms", str(own["frames"]), *(_ahead(own[method]) for method in METHODS)]
                )
            headings = (f"[{method}]" if method == ORACLE else method for method in METHODS)
            print_table(("", "frames", *headings), table)


def _ahead(numbers: dict[str, float]) -> str:
    return (
        f"{numbers['position_mm']:.1f} / {numbers['displacement_mm']:.1f} "
        f"({numbers['position_ratio']:.2f} / {numbers['displacement_ratio']:.2f})"
    )


def _rates(section: dict[str, Any]) -> None:
    _title(f"rates: the same weights on the same {section['takes']} takes; ratio to {rates.NOMINAL}")
    print_table(
        ("", "MPJPE+", "ratio", "PA+", "ratio", "difference of PA+"),
        [
            [
                name,
                _number(row["mpjpe_mm"]),
                f"{row['mpjpe_ratio']:.3f}",
                _number(row["pa_mm"]),
                f"{row['pa_ratio']:.3f}",
                f"{_number(row['pa_difference_mm'], 2, '+')} ± {_number(row['pa_standard_error_mm'], 2)}",
            ]
            for name, row in section["rates"].items()
        ],
    )


def _video(clip: dict[str, Any]) -> None:
    _title(
        f"{clip['clip']}: {clip['frames']} frames at {clip['fps']:g} fps; joints to landmarks, % of height, p50 / p90"
    )
    table = []
    for name, row in clip["rows"].items():
        if "by_limb" not in row:
            table.append([name, str(row["frames"]), *["-"] * (len(KINDS) + 3)])
            continue
        limbs = [row["by_limb"][kind] for kind in KINDS]
        steady, landmarks = row["stream"], row[LANDMARKS]
        table.append(
            [
                name,
                str(row["frames"]),
                f"{row['reprojection_median']:.1f} / {row['reprojection_p90']:.1f}",
                *(f"{_number(limb['median'])} / {_number(limb['p90'])}" for limb in limbs),
                f"{_number(steady['accel_mm'])} ({_number(landmarks['accel_mm'])})",
                f"{steady['flips']} ({landmarks['flips']})",
            ]
        )
    print_table(("", "tracked", "12 limbs", *KINDS, "accel (landmarks)", "flips (landmarks)"), table)
