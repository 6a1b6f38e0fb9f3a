"""Writes keys of mixed types through redis-py's cluster client, or reads them all back.

  million_keys.py fill|check HOST PASSWORD COUNT

Both print the same line when every key has its value: the count and a checksum that is computed
on this side, from what was sent (fill) or from what was read (check).
"""

import hashlib
import sys
import time

import redis
from redis.cluster import RedisCluster

BATCH = 2000


def expected(number):
    """The key and value of a number: strings, hashes and lists, short and long, in turn."""
    key = f"m:{number}"
    kind = number % 4
    if kind == 0:
        return key, "string", f"v{number}"
    if kind == 1:
        return key, "string", f"v{number}" * (1 + number % 40)
    if kind == 2:
        return key, "hash", {f"f{i}": f"{number}.{i}" for i in range(1 + number % 4)}
    return key, "list", [f"{number}-{i}" for i in range(1 + number % 5)]


def write(pipe, key, kind, value):
    if kind == "string":
        pipe.set(key, value)
    elif kind == "hash":
        pipe.hset(key, mapping=value)
    else:
        pipe.delete(key)
        pipe.rpush(key, *value)


def read(pipe, key, kind):
    if kind == "string":
        pipe.get(key)
    elif kind == "hash":
        pipe.hgetall(key)
    else:
        pipe.lrange(key, 0, -1)


def canonical(key, value):
    if isinstance(value, dict):
        value = sorted(value.items())
    return f"{key}={value!r}\n".encode()


def execute(build):
    """A pipeline run once more from the start when it fails half-way: each command is idempotent."""
    for attempt in range(20):
        try:
            pipe = build()
            return pipe.execute()
        except (redis.RedisError, OSError) as error:
            print(f"attempt {attempt}: {error!r}", file=sys.stderr)
            time.sleep(0.5)
    raise SystemExit("the cluster did not answer twenty attempts")


def main():
    verb, host, password, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    client = RedisCluster(host=host, port=6379, password=password, decode_responses=True)
    digest = hashlib.sha256()
    for start in range(0, count, BATCH):
        batch = [expected(number) for number in range(start, min(start + BATCH, count))]

        def build():
            pipe = client.pipeline()
            for key, kind, value in batch:
                write(pipe, key, kind, value) if verb == "fill" else read(pipe, key, kind)
            return pipe

        answers = execute(build)
        values = [value for _, _, value in batch] if verb == "fill" else answers
        for (key, _, _), value in zip(batch, values):
            digest.update(canonical(key, value))
    print(f"{count} keys, sha256 {digest.hexdigest()}")


main()
