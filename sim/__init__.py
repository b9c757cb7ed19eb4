"""The world: catalogue, people, attention, funnel, and the clock that lets them meet."""
