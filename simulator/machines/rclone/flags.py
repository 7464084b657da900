"""The flags of rclone 1.60 that are understood here; most of them change nothing that shows."""

from __future__ import annotations

SHORT = "vqPRnuc"
SWITCHES = (
    *("checksum", "size-only", "update", "ignore-existing", "dry-run", "error-on-no-transfer", "recursive"),
    *("files-only", "dirs-only", "hash", "no-modtime", "no-mimetype", "one-way", "download", "read-only", "daemon"),
    *("allow-other", "allow-non-empty", "fast-list", "use-json-log", "stats-one-line", "verbose", "quiet", "progress"),
    *("no-traverse", "no-check-dest", "immutable", "ignore-checksum", "create-empty-src-dirs", "no-checksum", "stat"),
    *("no-seek", "metadata", "links", "copy-links", "gcs-no-check-bucket", "use-server-modtime", "ignore-times"),
)
VALUES = (
    *("include", "exclude", "filter", "filter-from", "include-from", "exclude-from", "backup-dir", "max-delete"),
    *("config", "log-file", "log-level", "stats", "transfers", "checkers", "retries", "low-level-retries", "timeout"),
    *("contimeout", "bwlimit", "vfs-cache-mode", "vfs-cache-max-size", "vfs-cache-max-age", "vfs-read-ahead"),
    *("vfs-read-chunk-size", "vfs-write-back", "dir-cache-time", "poll-interval", "cache-dir", "uid", "gid", "umask"),
    *("daemon-wait", "daemon-timeout", "buffer-size", "attr-timeout", "dir-perms", "file-perms", "combined", "suffix"),
    *("max-size", "min-size", "max-depth", "max-transfer", "retries-sleep", "attr-timeout", "volname", "format"),
    *("separator", "vfs-cache-poll-interval", "vfs-read-chunk-size-limit", "user-agent", "devname", "option", "umask"),
)
