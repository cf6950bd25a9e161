"""What a refused call says."""

import pytest
from botocore.exceptions import ClientError


def refusal(call, *positional, **arguments) -> tuple[int, str]:
    """The status and code with which a call of boto3 is refused."""
    with pytest.raises(ClientError) as refused:
        call(*positional, **arguments)
    error = refused.value.response
    return error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"]
