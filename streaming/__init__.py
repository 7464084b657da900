"""Work on machines over SSH: Wolf, the game library, the saves. The only home of asyncssh in the service."""
