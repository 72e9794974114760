-- What is on the machines of a tenant, the first to begin first: a change of what guards many of them looks at it.
create index grants_standing_of_tenant on grants (tenant, start_at, id) where ended_at = 0 and machine <> '';
