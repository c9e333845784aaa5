"""Pictures that carry a frame number and a time as black and white boxes, readable after any video codec.

Plain Python only: the RTSP server runs in the system's Python, which has no numpy.
"""

import time

WIDTH, HEIGHT = 160, 120
COLUMNS, ROWS = 8, 5  # 40 boxes of 20 x 24 pixels: 16 bits of frame number, 24 bits of milliseconds
NUMBER_BITS, TIME_BITS = 16, 24


def now_ms() -> int:
    """CLOCK_MONOTONIC, the same for all processes, in milliseconds, cut to the bits of a picture."""
    return time.monotonic_ns() // 1_000_000 % (1 << TIME_BITS)


def draw_gray(number: int) -> bytes:
    """WIDTH x HEIGHT grey bytes, row by row, that show `number` and the present time."""
    value = (number % (1 << NUMBER_BITS)) << TIME_BITS | now_ms()
    picture = bytearray()
    for row in range(ROWS):
        line = bytearray()
        for column in range(COLUMNS):
            bit = value >> (row * COLUMNS + column) & 1
            line += (b"\xe0" if bit else b"\x20") * (WIDTH // COLUMNS)
        picture += line * (HEIGHT // ROWS)
    return bytes(picture)


def read_boxes(image) -> tuple[int, int]:
    """(frame number, milliseconds) of a picture (HEIGHT, WIDTH, 3) uint8, as `draw_gray` drew it."""
    value = 0
    for row in range(ROWS):
        for column in range(COLUMNS):
            y = (row * 2 + 1) * HEIGHT // (ROWS * 2)
            x = (column * 2 + 1) * WIDTH // (COLUMNS * 2)
            value |= int(image[y - 4 : y + 4, x - 4 : x + 4].mean() > 128) << (row * COLUMNS + column)
    return value >> TIME_BITS, value & ((1 << TIME_BITS) - 1)


def age_ms(stamp_ms: int) -> int:
    """Milliseconds since a picture with this stamp was drawn."""
    return (now_ms() - stamp_ms) % (1 << TIME_BITS)
