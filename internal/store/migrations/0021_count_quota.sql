-- only sqlite:
-- PostgreSQL alone: see there.
select 1;
-- only postgres:
-- A function in SQL is planned anew at each call; one in PL/pgSQL keeps its plan.
create or replace function count_quota(of_tenant text, of_principal text, more_open bigint, more_scheduled bigint, more_pending bigint) returns void language plpgsql as $$
begin
    insert into quotas as q (tenant, principal, open, scheduled, pending)
    values (of_tenant, of_principal, more_open, more_scheduled, more_pending), (of_tenant, '', more_open, more_scheduled, more_pending)
    on conflict (tenant, principal) do update
    set open = q.open + excluded.open, scheduled = q.scheduled + excluded.scheduled, pending = q.pending + excluded.pending;
end
$$;
-- end
