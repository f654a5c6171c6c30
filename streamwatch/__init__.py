"""Watch live streams for child safety without keeping a single picture."""

import os

# onnxruntime writes a device id and a database into the home folder and uploads usage at its first session, unless this
# is set before it is imported. Every process of ours, and every child it starts, passes here first.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.1.0"
