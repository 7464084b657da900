"""Adapters to the outside world: clouds, the CloudyPad executable and the bucket. The only home of aiohttp."""
