"""What turns pictures into scores. The only room that imports onnxruntime."""
