"""Drawing: a camera without OpenGL, and frames of any task."""
