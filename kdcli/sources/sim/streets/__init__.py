"""The world ``streets``: what a camera on a car sees. ``docs/simulator.md`` has its distribution."""
