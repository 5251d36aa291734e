"""Whatever is sent to an endpoint of the OpenAPI document, it answers as the document says."""

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given

from prefrl.labelling.service import ServiceSettings
from tests.labelling.service.serving import Server, service_of

NUM_OPERATIONS = 17
OF_EACH = hypothesis.settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # to shrink would take minutes
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def asked(template, tmp_path_factory):
    server = Server()
    path = tmp_path_factory.mktemp("openapi") / "labels.sqlite"
    # It is sent wrong tokens as well, and none of them is to be told to wait.
    settings = ServiceSettings(failed_per_minute=100_000)
    with service_of(template, server, path, settings) as service:
        service.ask_about(10)
        yield service
    server.close()


@pytest.mark.parametrize("who", ["ann", "owner"])
def test_it_answers_as_its_document_says(asked, who):
    document = schemathesis.openapi.from_url(f"{asked.url}/api/v1/openapi.json")
    operations = [one.ok() for one in document.get_all_operations()]  # type: ignore[union-attr]
    assert len(operations) == NUM_OPERATIONS
    # Its token is revoked meanwhile, or its holder removed: that is an answer, too.
    token = getattr(asked, who).token
    for operation in operations:

        @OF_EACH
        @given(case=operation.as_strategy())
        def answers(case):
            headers = {"Authorization": f"Bearer {token}"}
            response = case.call_and_validate(headers=headers)
            assert response.status_code < 500

        answers()
