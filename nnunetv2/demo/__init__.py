"""A small world to try everything on: a CT phantom with lesions, pictures, and the main job from start to end."""
