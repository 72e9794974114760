# Drives just-in-time access by the unmodified Azure SDK for Python, and writes what it saw as JSON.
import datetime
import inspect
import json
import os
import sys

from azure.identity import ClientSecretCredential
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.security import SecurityCenter

here = os.environ["POSTERN"]
subscription = os.environ["SUBSCRIPTION"]
machine = os.environ["MACHINE_ID"]
credential = ClientSecretCredential(
    "adfs", os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"],
    authority=here, disable_instance_discovery=True,
)
where = {"base_url": here, "credential_scopes": [here + "/.default"]}


def security():
    """gives the client, whose first versions want the location of the service too"""
    try:
        return SecurityCenter(credential, subscription, **where)
    except TypeError:
        return SecurityCenter(credential, subscription, "local", **where)


def until(**kwargs):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**kwargs)


policies = security().jit_network_access_policies
place = ("default", "local", "default")
if "asc_location" not in inspect.signature(policies.get).parameters:
    place = ("default", "default")  # the client has the location


def at(name, *more):
    return getattr(policies, name)(*place, *more)


put = at("create_or_update", {"kind": "Basic", "properties": {"virtualMachines": [{"id": machine, "ports": [
    {"number": 22, "protocol": "TCP", "allowedSourceAddressPrefix": "*", "maxRequestAccessDuration": "PT3H"},
]}]}})
made = at("initiate", {"justification": "INC-4812 disk full", "virtualMachines": [{"id": machine, "ports": [
    {"number": 22, "endTimeUtc": until(minutes=30).strftime("%Y-%m-%dT%H:%M:%SZ"), "allowedSourceAddressPrefix": "10.77.0.1"},
]}]})
got = at("get")
assignments = AuthorizationManagementClient(credential, subscription, api_version="2022-04-01", **where).role_assignments
if hasattr(assignments, "list_for_subscription"):
    assigned = list(assignments.list_for_subscription())
else:
    assigned = list(assignments.list())
machines = list(ComputeManagementClient(credential, subscription, **where).virtual_machines.list_all())
json.dump({
    "state": put.provisioning_state,
    "requestor": made.requestor,
    "port": {"number": made.virtual_machines[0].ports[0].number, "source": made.virtual_machines[0].ports[0].allowed_source_address_prefix},
    "requests": len(got.requests),
    "listed": len(list(policies.list())),
    "assignments": len(assigned),
    "machines": [m.name for m in machines],
}, sys.stdout)
