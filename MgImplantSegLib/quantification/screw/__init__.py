"""The screw before implantation: its axis, its shape, its pose, its ends."""
