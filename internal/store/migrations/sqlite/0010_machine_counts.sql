-- Machines are counted by whether an agent guards them, without reading their rows.
create index machines_by_tenant on machines (tenant, agent, resource_key, id);
