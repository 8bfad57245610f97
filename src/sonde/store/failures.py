"""What a person can do when a bucket does not do what it is asked, in one sentence.

Both clients say what the store answered, in the words of the same library.
"""

from __future__ import annotations

import re

from sonde.errors import BackendError

_ANSI = re.compile(r"\x1b\[[0-9;]*m|↳")
_GUIDE = "docs/object-store.md"


class PassingError(BackendError):
    """The store did not answer, or not now. Nobody knows whether it did what it was asked."""


def failure(error: Exception, url: str, endpoint: str) -> BackendError:
    """The same with that sentence. endpoint: the address of the store, if it is not the usual one.

    >>> print(failure(OSError("404 <Code>NoSuchBucket</Code>"), "s3://nowhere/lake", ""))
    there is no bucket "nowhere"; create it, or correct the address s3://nowhere/lake
    """
    text = " ".join(_ANSI.sub("", str(error)).partition("Debug source:")[0].split())
    is_google = url.startswith("gs://")
    words = {
        "url": url,
        "bucket": url.partition("://")[2].partition("/")[0],
        "at": f" at {endpoint}" if endpoint else "",
        "keys": _GOOGLE_KEYS if is_google else _AWS_KEYS,
        "rights": _GOOGLE_RIGHTS if is_google else _AWS_RIGHTS,
        "guide": _GUIDE,
        "endpoint": " and at AWS_ENDPOINT_URL" if endpoint and not is_google else "",
    }
    for kind, said in ((BackendError, _SAID), (PassingError, _SAID_IN_PASSING)):
        for pattern, sentence in said:
            if re.search(pattern, text, re.IGNORECASE):
                return kind(sentence.format(**words))
    return BackendError(f"{url} cannot be used: {text[:500]}")


_AWS_KEYS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give this machine a role"
)
_GOOGLE_KEYS = (
    "set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`, or give "
    "this machine a service account"
)
_AWS_RIGHTS = (
    "allow s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on "
    "what is in it"
)
_GOOGLE_RIGHTS = "give them the role Storage Object User on the bucket"

# The first that fits counts: what was asked of the machine's role before what the store said.
_SAID = (
    (
        r"169\.254\.|computeMetadata|metadata\.google|token request|Missing \w*AccessKey",
        "there are no credentials for {url}; {keys}",
    ),
    (
        r"NoSuchBucket|bucket does not exist",
        'there is no bucket "{bucket}"{at}; create it, or correct the address {url}',
    ),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|Unauthori[sz]ed|authentication cre",
        "{url} does not accept these credentials; correct them: {keys}",
    ),
    (
        r"ExpiredToken|TokenRefreshRequired",
        "the credentials for {url} have expired; renew them and run again",
    ),
    (
        r"RequestTimeTooSkewed",
        "the clock of this machine is wrong, so {url} refuses it; set the clock and run again",
    ),
    (
        r"403 Forbidden|AccessDenied|necessary privileges",
        "these credentials have no right to do this in {url}; {rights} ({guide})",
    ),
    (
        r"redirect without LOCATION|PermanentRedirect|AuthorizationHeaderMalformed",
        'the bucket "{bucket}" is in another region; set AWS_REGION to its own',
    ),
)
_SAID_IN_PASSING = (
    (
        r"\b(429|500|502|503|504)\b|SlowDown",
        "{url} refuses requests for now{at}; run again later (what was committed is kept)",
    ),
    (
        r"error sending request|\(Connect\)|tcp connect|dns error|timed out|connection",
        "{url} cannot be reached{at}; look at the network{endpoint}, and run again",
    ),
)
