"""Prints the SHA-256 of every body by the path of its URL, as programs that are not fetch read it. Of a body to which a WARC
only refers, it is the one that the record names.

    read_bodies.py KIND WHAT...

KIND: warcio, fastwarc, tarfile, webdataset (files), s3 (endpoint and bucket).
"""

import hashlib
import json
import sys
from urllib.parse import urlsplit


def path_of(url):
    return urlsplit(url).path


def warcio(*files):
    from warcio.archiveiterator import ArchiveIterator

    for file in files:
        with open(file, "rb") as stream:
            for record in ArchiveIterator(stream, check_digests="raise"):
                field = record.rec_headers.get_header
                if record.rec_type not in ("response", "revisit") or record.http_headers.get_statuscode() != "200":
                    continue
                if record.rec_type == "revisit":
                    yield path_of(field("WARC-Target-URI")), field("WARC-Payload-Digest")
                else:
                    whole = field("WARC-Truncated") is None
                    body = record.content_stream().read()
                    if whole:
                        yield path_of(field("WARC-Target-URI")), body


def fastwarc(*files):
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    for file in files:
        with open(file, "rb") as stream:
            kinds = WarcRecordType.response | WarcRecordType.revisit
            for record in ArchiveIterator(stream, record_types=kinds, parse_http=True):
                path = path_of(record.headers["WARC-Target-URI"])
                if record.http_headers.status_code != 200 or "WARC-Truncated" in record.headers:
                    continue
                if record.record_type == WarcRecordType.revisit:
                    yield path, record.headers["WARC-Payload-Digest"]
                else:
                    yield path, record.reader.read()


def tarfile(*files):
    import tarfile as library

    for file in files:
        with library.open(file) as archive:
            bodies, records = {}, {}
            for member in archive:
                stem, _, extension = member.name.partition(".")
                content = archive.extractfile(member).read()
                (records if extension == "json" else bodies)[stem] = content
            for stem, record in records.items():
                yield path_of(json.loads(record)["url"]), bodies[stem]


def webdataset(*files):
    import webdataset as library

    for sample in library.WebDataset(list(files), shardshuffle=False, empty_check=False):
        record = json.loads(sample["json"])
        (body,) = [value for key, value in sample.items() if key != "json" and not key.startswith("__")]
        yield path_of(record["url"]), body


def s3(endpoint, bucket, prefix):
    import boto3

    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=endpoint, **keys)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            if "/.fetch/" not in entry["Key"]:
                body = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
                yield "/" + entry["Key"].removeprefix(prefix), body


for path, body in globals()[sys.argv[1]](*sys.argv[2:]):
    digest = body.removeprefix("sha256:") if isinstance(body, str) else hashlib.sha256(body).hexdigest()
    print(path, digest)
