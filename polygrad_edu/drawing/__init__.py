"""Drawing: a camera and pictures of simulator states, without OpenGL."""
