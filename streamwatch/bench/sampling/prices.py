"""What looks cost in the simulation: processor time on one core of a 2.x GHz server, as measured with 360p H.264.

From measurements with libavcodec, one thread, and MobileNetV3-small in ONNX Runtime: 3.4 ms for a key picture of
28.5 kB, 0.12-0.13 ms/kB from 360p to 1080p; 1.63 s for a minute of 4.4 MB decoded entirely, of which 68 % are left
where pictures that no other depends on are passed over; 0.5 ms to scale and 2.0 ms to score a picture.
"""

from __future__ import annotations

from typing import Final

KEY_S_PER_BYTE: Final = 0.13e-6
"""Of a key picture: entropy decoding, so bytes."""
BETWEEN_S_PER_BYTE: Final = 0.22e-6
"""Of pictures decoded one after another."""
SCALE_S: Final = 0.5e-3
INFER_S: Final = 2.0e-3
SCORE_S: Final = SCALE_S + INFER_S
"""What every look costs beside decoding."""
