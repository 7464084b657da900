"""The outside world: clouds, the CloudyPad executable, the bucket. The only home of aiohttp."""
