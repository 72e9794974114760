# Asks for a role of a managed application by the unmodified Azure SDK for Python, whose models of a schedule only read its type.
import datetime
import json
import os
import sys

from azure.identity import ClientSecretCredential
from azure.mgmt.resource.managedapplications import ApplicationClient
from azure.mgmt.resource.managedapplications.models import JitAuthorizationPolicies, JitRequestDefinition, JitSchedulingPolicy

here = os.environ["POSTERN"]
credential = ClientSecretCredential(
    "adfs", os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"],
    authority=here, disable_instance_discovery=True,
)
client = ApplicationClient(credential, os.environ["SUBSCRIPTION"], base_url=here, credential_scopes=[here + "/.default"])
asked = JitRequestDefinition(
    location="local", application_resource_id=os.environ["APPLICATION"],
    jit_authorization_policies=[JitAuthorizationPolicies(principal_id=os.environ["CLIENT_ID"], role_definition_id=os.environ["ROLE"])],
    jit_scheduling_policy=JitSchedulingPolicy(duration=datetime.timedelta(hours=1), start_time=datetime.datetime.now(datetime.timezone.utc)),
)
made = client.jit_requests.begin_create_or_update("mrg-shop", "from-python", asked).result()
got = client.jit_requests.get("mrg-shop", "from-python")
json.dump({"state": got.jit_request_state, "kind": made.jit_scheduling_policy.type, "provisioning": made.provisioning_state}, sys.stdout)
